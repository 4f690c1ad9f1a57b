"""What a verdict costs, what numpy_impl costs beside torch, and what it costs to start."""

import subprocess
import sys
import timeit
from functools import partial

import numpy as np
import torch
from torch.nn import functional as F

from numpy_impl import Parameters, loss_and_grads
from tests.benchmark.tools import REFERENCE, TOOLS
from torch_ref.two_layers.reference import twin

WIDTHS = (2, 2, 1), (5, 8, 1), (64, 32, 1), (784, 128, 10)  # in, hidden, out
BATCH = 4
COMPARED = "gradgate", "torch gradcheck", "torch gradcheck, fast", "jax check_grads"
NETWORKS = (2, 2, 1, 4), (2, 8, 1, 64), (16, 32, 1, 1024), (784, 128, 10, 256), (784, 512, 10, 4096)  # and batch


def verdict(name, widths, budget=2.0):
    """Seconds a case, replays included: the mean over as many cases as fit the budget, 100 at most."""
    tool, _ = TOOLS[name]
    cases = [REFERENCE.cases.draw(BATCH, *widths, seed=seed) for seed in range(101)]
    clock, spent = timeit.default_timer, []
    tool(loss_and_grads, cases[0]) if widths != WIDTHS[-1] else None  # once to warm up, where that is cheap
    for case in cases[1:]:
        start = clock()
        tool(loss_and_grads, case)
        spent.append(clock() - start)
        if sum(spent) > budget:
            break
    return float(np.mean(spent))


def arrays(sizes, dtype):
    """Inputs, targets and parameters of a well-scaled network."""
    width_in, hidden, out, batch = sizes
    rng = np.random.default_rng(0)
    drawn = Parameters.from_generator(rng, width_in, hidden, out)
    parameters = [(array / np.sqrt(array.shape[1])).astype(dtype) for array in drawn]
    return rng.standard_normal((batch, width_in)).astype(dtype), rng.random((batch, out)).astype(dtype), *parameters


def in_numpy(sizes, dtype):
    return partial(loss_and_grads, *arrays(sizes, dtype))


def in_torch(sizes, dtype):
    """Forward and backward in eager mode, as in a training loop."""
    inputs, targets, *parameters = arrays(sizes, dtype)
    model, inputs, targets = twin(parameters), torch.from_numpy(inputs), torch.from_numpy(targets)

    def step():
        model.zero_grad()
        F.binary_cross_entropy(model(inputs), targets).backward()

    return step


def numpy_beside_torch(sizes, dtype):
    """Seconds of a loss and its gradient in NumPy and in torch: the best of several runs in turn."""
    functions = in_numpy(sizes, dtype), in_torch(sizes, dtype)
    number = max(1, int(0.02 / timeit.timeit(functions[0], number=3) * 3))
    runs = [[timeit.timeit(function, number=number) / number for function in functions] for _ in range(15)]
    return np.min(runs, axis=0)


def peak(kind, sizes, dtype):
    """Bytes by which a process of its own grows in one call, its arrays made before. Linux only, by /proc."""
    code = f"""
import re, torch
from pathlib import Path
from tests.benchmark import cost

def size(name):
    return int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

torch.set_num_threads(1)
step = cost.in_{kind}({sizes}, {dtype!r})
Path("/proc/self/clear_refs").write_text("5")  # from here on the peak is counted anew
before = size("VmRSS")
step()
print(size("VmHWM") - before)"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603  # our own
    return int(run.stdout) * 1024


def start(repeats=5):
    """Seconds of the bare imports, of importing torch_ref, and of the command at its defaults: the median of each."""
    commands = ["-c", "import torch, hypothesis"], ["-c", "import torch_ref"], ["-m", "torch_ref"]
    run = partial(subprocess.run, capture_output=True, check=True)
    times = [[timeit.timeit(partial(run, [sys.executable, *c]), number=1) for c in commands] for _ in range(repeats)]
    return np.median(times, axis=0)
