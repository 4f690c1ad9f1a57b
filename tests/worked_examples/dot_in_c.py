"""A layer in C through ctypes, forward and backward: dot products of the rows of x and W, a bias, GELU by tanh.

gradgate dot_in_c.py:linear_gelu --reference dot_in_c.py:make_reference
"""

import ctypes
import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from torch.nn import functional

from torch_ref import Operator

INPUTS, OUTPUTS = 4, 3
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")

SOURCE = """
#include <tgmath.h> /* tanh of a float is a float */

static const REAL C = 0.7978845608028654; /* √(2/π) */
static const REAL D = 0.044715;

/* z of sample i and output j: a row of x times a row of W, and the bias. */
static REAL dot(const REAL *x, const REAL *W, const REAL *b, int inputs, int i, int j)
{
    REAL z = b[j];
    for (int k = 0; k < inputs; k++)
        z += x[i * inputs + k] * W[j * inputs + k];
    return z;
}

/* x (batch, inputs), W (outputs, inputs), b (outputs,); writes out (batch, outputs). */
void forward(int batch, int inputs, int outputs, const REAL *x, const REAL *W, const REAL *b, REAL *out)
{
    for (int i = 0; i < batch; i++)
        for (int j = 0; j < outputs; j++) {
            REAL z = dot(x, W, b, inputs, i, j);
            out[i * outputs + j] = z / 2 * (1 + tanh(C * (z + D * z * z * z)));
        }
}

/* upstream (batch, outputs); adds to dx, dW and db, in the shapes of x, W and b. */
void backward(int batch, int inputs, int outputs, const REAL *upstream, const REAL *x, const REAL *W, const REAL *b,
              REAL *dx, REAL *dW, REAL *db)
{
    for (int i = 0; i < batch; i++)
        for (int j = 0; j < outputs; j++) {
            REAL z = dot(x, W, b, inputs, i, j);
            REAL t = tanh(C * (z + D * z * z * z));
            REAL slope = (1 + t) / 2 + z / 2 * (1 - t * t) * C * (1 + 3 * D * z * z);
            REAL dz = upstream[i * outputs + j] * slope;
            db[j] += dz;
            for (int k = 0; k < inputs; k++) {
                dx[i * inputs + k] += dz * W[j * inputs + k];
                dW[j * inputs + k] += dz * x[i * inputs + k];
            }
        }
}
"""


@functools.cache
def library(real):
    """The source, compiled for this type: double or float."""
    with tempfile.TemporaryDirectory() as folder:  # a library that is loaded needs its file no more
        source, built = Path(folder, "layer.c"), Path(folder, "layer.so")
        source.write_text(SOURCE, encoding="utf-8")
        words = ["-std=c99", "-O2", "-shared", "-fPIC", f"-DREAL={real}", "-o", built, source, "-lm"]
        subprocess.run([COMPILER, *words], check=True)  # noqa: S603  # our own source
        return ctypes.CDLL(str(built))


def linear_gelu(upstream, x, W, b):
    layer = library("double" if x.dtype == np.float64 else "float")
    upstream, x, W, b = map(np.ascontiguousarray, (upstream, x, W, b))  # C wants rows, one after the other
    sizes = len(x), x.shape[1], len(W)  # batch, inputs, outputs
    out = np.empty_like(upstream)  # (batch, outputs)
    dx, dW, db = np.zeros_like(x), np.zeros_like(W), np.zeros_like(b)  # (batch, inputs), (outputs, inputs), (outputs,)
    layer.forward(*sizes, *map(pointer, (x, W, b, out)))
    layer.backward(*sizes, *map(pointer, (upstream, x, W, b, dx, dW, db)))
    return out, (dx, dW, db)


def pointer(array):
    return ctypes.c_void_p(array.ctypes.data)


def torch_linear_gelu(x, W, b):
    return functional.gelu(functional.linear(x, W, b), approximate="tanh")


def draw(rng, batch):
    return {
        "x": rng.standard_normal((batch, INPUTS)),
        "W": rng.standard_normal((OUTPUTS, INPUTS)),
        "b": rng.standard_normal(OUTPUTS),
    }


def make_reference():
    return Operator(torch_linear_gelu, draw)
