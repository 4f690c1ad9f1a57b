"""A feed-forward block as transformers have it: linear, layer norm, GELU, linear; mean squared error."""

import math

import numpy as np
from torch import nn

from torch_ref import Reference

FEATURES, WIDTH, OUTPUTS = 4, 8, 3
EPSILON = 1e-5  # as in nn.LayerNorm

erf = np.vectorize(math.erf, otypes=[np.float64])


def draw(rng, batch):
    return rng.standard_normal((batch, FEATURES)), rng.standard_normal((batch, OUTPUTS))


def make_reference():
    model = nn.Sequential(nn.Linear(FEATURES, WIDTH), nn.LayerNorm(WIDTH), nn.GELU(), nn.Linear(WIDTH, OUTPUTS))
    return Reference(model, nn.functional.mse_loss, draw)


def loss_and_grads(X, T, W1, b1, gain, shift, W2, b2):
    Z = X @ W1.T + b1  # (batch, width)
    deviation = Z - Z.mean(axis=1, keepdims=True)  # (batch, width)
    scale = 1 / np.sqrt((deviation**2).mean(axis=1, keepdims=True) + EPSILON)  # (batch, 1)
    N = deviation * scale  # (batch, width)
    A = N * gain + shift  # (batch, width)
    cdf = (0.5 * (1 + erf(A / math.sqrt(2)))).astype(X.dtype)  # (batch, width), Φ(A)
    H = A * cdf  # (batch, width)
    Y = H @ W2.T + b2  # (batch, outputs)
    loss = ((Y - T) ** 2).mean()

    dL_dY = 2 * (Y - T) / Y.size  # (batch, outputs)
    dL_dH = dL_dY @ W2  # (batch, width)
    density = np.exp(-(A**2) / 2) / X.dtype.type(math.sqrt(2 * math.pi))  # (batch, width), φ(A)
    dL_dA = dL_dH * (cdf + A * density)  # (batch, width)
    dL_dN = dL_dA * gain  # (batch, width)
    # The mean and the scale depend on every element of a row.
    dL_dZ = scale * (
        dL_dN - dL_dN.mean(axis=1, keepdims=True) - N * (dL_dN * N).mean(axis=1, keepdims=True)
    )  # (batch, width)
    return loss, (
        *(dL_dZ.T @ X, dL_dZ.sum(axis=0)),  # (width, features), (width,)
        *((dL_dA * N).sum(axis=0), dL_dA.sum(axis=0)),  # (width,), (width,)
        *(dL_dY.T @ H, dL_dY.sum(axis=0)),  # (outputs, width), (outputs,)
    )
