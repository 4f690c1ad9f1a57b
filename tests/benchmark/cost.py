"""What a case more costs in `check`, a failing check, a transformer block; numpy_impl beside torch; and to start.

Times of a check are those of the processor in this process, on one thread: others on the machine hardly change them.
"""

import subprocess
import sys
import timeit
from functools import partial
from time import process_time
from unittest.mock import patch

import numpy as np
import torch
from torch.nn import functional as F

from numpy_impl import Parameters, loss_and_grads
from tests.benchmark import block
from tests.benchmark.tools import TOOLS
from tests.planted import STRAY_2, changed
from torch_ref import Shapes, TwoLayers, check
from torch_ref.two_layers.reference import twin

WIDTHS = (2, 2, 1), (5, 8, 1), (64, 32, 1), (784, 128, 10)  # in, hidden, out
BATCH = 4
COMPARED = "torch gradcheck", "torch gradcheck, fast", "jax check_grads"
NETWORKS = (2, 2, 1, 4), (2, 8, 1, 64), (16, 32, 1, 1024), (784, 128, 10, 256), (784, 512, 10, 4096)  # and batch
FEW, MANY = 40, 140  # cases of a check: the explicit ones, ordinary and saturated, are among the few already
# Gross mistakes, one that shows in some cases only, and smaller and smaller ones, down to what rounding may explain.
WRONG = {
    "W2 doubled": STRAY_2,
    "all wrong": changed(**{name: lambda grad, _: 2 * grad for name in ("loss", "W1", "B1", "W2", "B2")}),
    "W1 doubled from a batch of 3": changed(W1=lambda grad, a: grad * (1 + (len(a.inputs) >= 3))),
    **{
        f"W1 off by {error:g}": changed(W1=lambda grad, _, error=error: grad * (1 + error))
        for error in (1e-9, 1e-12, 1e-13, 3e-14)
    },
}


def seconds(function):
    start = process_time()
    function()
    return process_time() - start


def checked(shapes, cases, candidate=loss_and_grads):
    """Seconds of a check, the search for the mistake of a wrong candidate apart."""
    with patch("torch_ref.judging.explain_failure"):
        return seconds(lambda: check(candidate, cases=cases, shapes=shapes))


def in_turn(cases):
    """Seconds a case of one pass of autograd, in a training loop as one writes it, and one call of the candidate."""
    parameters = [array.copy() for array in list(cases[0].arguments.values())[2:]]
    model = twin(parameters)

    def both(case):
        inputs, targets, *own = case.arguments.values()
        for parameter, array in zip(model.parameters(), own, strict=True):
            parameter.data = torch.from_numpy(array).view(parameter.shape)
        model.zero_grad()
        F.binary_cross_entropy(model(torch.from_numpy(inputs)), torch.from_numpy(targets)).backward()
        loss_and_grads(*case.arguments.values())

    return seconds(lambda: [both(case) for case in cases]) / len(cases)


def case_more(widths, repeats=9):
    """Seconds of one more case of `check`, saturated ones included, and of autograd and the candidate: medians."""
    shapes = Shapes(*((size, size) for size in (BATCH, *widths)))
    cases = [TwoLayers().cases.draw(BATCH, *widths, seed=seed) for seed in range(20 if max(widths) > 500 else 200)]
    judged = (MANY - FEW) * 5 / 4
    pairs = [((checked(shapes, MANY) - checked(shapes, FEW)) / judged, in_turn(cases)) for _ in range(repeats)]
    return np.median(pairs, axis=0)


def verdict(name, widths, budget=2.0):
    """Seconds a case of another tool: the mean over as many cases as fit the budget, 100 at most."""
    tool, _ = TOOLS[name]
    cases = [TwoLayers().cases.draw(BATCH, *widths, seed=seed) for seed in range(101)]
    spent = []
    tool(loss_and_grads, cases[0]) if widths != WIDTHS[-1] else None  # once to warm up, where that is cheap
    for case in cases[1:]:
        spent.append(seconds(lambda: tool(loss_and_grads, case)))  # noqa: B023  # called here
        if sum(spent) > budget:
            break
    return float(np.mean(spent))


def failing(repeats=5):
    """Seconds of a check of 100 cases: of numpy_impl, and of each wrong candidate."""
    candidates = {"numpy_impl, which passes": loss_and_grads, **WRONG}
    times = [[checked(Shapes(), 100, candidate) for candidate in candidates.values()] for _ in range(repeats)]
    return dict(zip(candidates, np.median(times, axis=0), strict=True))


def of_block(cases=20, repeats=3):
    """Seconds a case of a check of a transformer block, and of autograd and the candidate."""
    reference = block.make_reference()
    case = reference.cases.draw(block.SAMPLES, seed=0)

    def both():
        reference.evaluate(case)
        block.loss_and_grads(*case.arguments.values())

    run = partial(check, block.loss_and_grads, reference=reference, cases=cases)
    return np.median([(seconds(run) / cases, seconds(both)) for _ in range(repeats)], axis=0)


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
    """Bytes by which a process of its own grows in one call, its arrays made before."""
    return grown(f"from tests.benchmark import cost; step = cost.in_{kind}({sizes}, {dtype!r})", "step()")


def block_peaks():
    """Bytes by which a process grows in one pass of autograd through the block, and in a check of it.

    Both begin where nothing is drawn yet: the numbers that they compute with are part of either.
    """
    before = "from tests.benchmark import block; reference = block.make_reference(); from torch_ref import check"
    once = grown(before, "reference.evaluate(reference.cases.draw(block.SAMPLES, seed=0))")
    return once, grown(before, "check(block.loss_and_grads, reference=reference, cases=20)")


def grown(before, step):
    """Bytes by which a process of its own grows in this step. Linux only, by /proc."""
    code = f"""
import re, torch
from pathlib import Path

def size(name):
    return int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

torch.set_num_threads(1)
{before}
Path("/proc/self/clear_refs").write_text("5")  # from here on the peak is counted anew
before = size("VmRSS")
{step}
print(size("VmHWM") - before)"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603  # our own
    return int(run.stdout) * 1024


def start(repeats=5):
    """Seconds of the bare imports, of importing torch_ref, and of the command at its defaults: the median of each."""
    commands = ["-c", "import torch, hypothesis"], ["-c", "import torch_ref"], ["-m", "torch_ref"]
    run = partial(subprocess.run, capture_output=True, check=True)
    times = [[timeit.timeit(partial(run, [sys.executable, *c]), number=1) for c in commands] for _ in range(repeats)]
    return np.median(times, axis=0)
