"""What error in one gradient each tool catches, and how much correct code it rejects."""

import numpy as np

from numpy_impl import loss_and_grads
from tests.benchmark.tools import REFERENCE
from tests.correct import CORRECT
from torch_ref.precision import PRECISIONS

CONTROLS = {"zeros": 0, "doubled": 2}  # what all gradients are multiplied by: a tool that misses it tests nothing
ERRORS = 10.0 ** np.arange(-16, 0.25, 0.25)  # relative, smallest first


def cases(count, dtype):
    """Ordinary cases of batch 1-16, widths 1-5, 1-8 and 1-3."""
    sizes = ((1 + seed % 16, 1 + seed % 5, 1 + seed % 8, 1 + seed % 3) for seed in range(count))
    return [REFERENCE.cases.draw(*some, seed=seed, precision=PRECISIONS[dtype]) for seed, some in enumerate(sizes)]


def off_by(error, seed, *, whole):
    """numpy_impl with a relative error in one gradient: in all of it, or in one of its larger elements."""

    def candidate(*arrays):
        loss, grads = loss_and_grads(*arrays)
        position = seed % len(grads)
        wrong = grads[position].copy()
        larger = np.flatnonzero(np.abs(wrong) >= np.abs(wrong).max() / 10)
        elements = slice(None) if whole else larger[seed % larger.size]
        wrong.flat[elements] *= wrong.dtype.type(1 + error)
        return loss, (*grads[:position], wrong, *grads[position + 1 :])

    return candidate


def smallest_caught(tool, case, *, whole):
    """The smallest of ERRORS that the tool rejects, by bisection; infinite if it takes them all."""
    low, high = 0, len(ERRORS)  # ERRORS[:low] pass; ERRORS[high:] do not
    while low < high:
        middle = (low + high) // 2
        if tool(off_by(ERRORS[middle], case.seed, whole=whole), case):
            low = middle + 1
        else:
            high = middle
    return [*ERRORS, np.inf][high]


def power(tool, dtype, count):
    """Of each case the smallest error caught: in a whole tensor, and in one element."""
    drawn = cases(count, dtype)
    return [np.array([smallest_caught(tool, case, whole=whole) for case in drawn]) for whole in (True, False)]


def scaled(factor):
    """numpy_impl with every gradient multiplied by the factor."""

    def candidate(*arrays):
        loss, grads = loss_and_grads(*arrays)
        return loss, tuple(factor * gradient for gradient in grads)

    return candidate


def controls(tool, dtype, count):
    """How many of `count` cases the tool rejects, for each of CONTROLS."""
    return [sum(not tool(scaled(factor), case) for case in cases(count, dtype)) for factor in CONTROLS.values()]


def false_alarms(tool, dtype, count):
    """How many of `count` cases the tool rejects, of all correct candidates in turn."""
    return sum(not tool(CORRECT[case.seed % len(CORRECT)], case) for case in cases(count, dtype))
