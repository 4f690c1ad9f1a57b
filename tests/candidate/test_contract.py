"""The contract, enforced: each breach has a plain message of its own, and none of them crashes the gate."""

import sys

import numpy as np
import pytest

from numpy_impl import loss_and_grads
from tests.planted import changed
from torch_ref import Shapes, check


def takes_four(inputs, targets, W1, W2): ...


def takes_seven(inputs, targets, W1, B1, W2, B2, lr): ...


def steps(inputs, targets, W1, B1, W2, B2, lr=0.1):  # noqa: ARG001  # as it would be
    return W1, B1, W2, B2


def raises(*arrays):
    return np.linalg.inv(arrays[0])


def exits(*_):
    sys.exit(3)


def writes_to_W2(x, t, W1, B1, W2, B2):
    loss, grads = loss_and_grads(x, t, W1, B1, W2, B2)
    W2 -= 0.1 * grads.W2
    return loss, grads


def resizes_B1(x, t, W1, B1, W2, B2):
    answer = loss_and_grads(x, t, W1, B1, W2, B2)
    B1.shape = (1, B1.size)
    return answer


def random(*arrays):
    loss, grads = loss_and_grads(*arrays)
    return loss, [grads.W1 * np.random.default_rng().random(), *grads[1:]]


def with_batch(g, a):
    return g + 0 * a.inputs[:, 0]


class Accumulates:
    """Sums that start at zero once, when the object is made, and not in each call."""

    def __init__(self):
        self.sums = {}

    def gradients(self, x): ...

    def __call__(self, *arrays):
        loss, grads = loss_and_grads(*arrays)
        key = arrays[0].tobytes()
        self.sums[key] = [s + g for s, g in zip(self.sums.get(key, [0] * 4), grads, strict=True)]
        return loss, self.sums[key]


BREACHES = {
    "arguments": (takes_four, r"takes \(inputs, targets, W1, W2\), expected \(inputs, targets, W1, B1, W2, B2\)"),
    "raises": (raises, r"raised LinAlgError: .* at test_contract.py:\d+: return np.linalg.inv\(arrays\[0\]\)"),
    "exits": (exits, r"called sys.exit\(3\), expected it to return"),
    "None": (lambda *_: None, r"returned None, expected \(loss, \(dL_dW1, dL_dB1, dL_dW2, dL_dB2\)\)"),
    "an array": (lambda *a: a[0], r"returned a ndarray of shape \(\d+, \d\), expected \(loss, \("),
    "a string": (lambda *_: "ab", r"returned a str, expected \(loss, \("),
    "seven": (takes_seven, r"takes \(.*lr\), expected \(inputs, .*B2\); is it a training step, with a learning"),
    "a step": (steps, r"returned a tuple of 4, expected .*, \(None, gradients\); is it a training step"),
    "no loss": (lambda *a: a[2:], r"returned a tuple of 4, .*; without a loss, \(None, gradients\)  \["),
    "a class": (Accumulates, r"takes \(\), expected \(inputs, .*; it is a class: name an object of it, or a function"),
    "a method": (Accumulates.gradients, r"takes \(self, x\), expected \(inputs, .*; it is a method: name a function"),
    "too few": (lambda *a: (0.5, loss_and_grads(*a)[1][:3]), r"returned a tuple of 3 as the gradients, expected"),
    "too many": (lambda *a: (0.5, (*loss_and_grads(*a)[1], 0)), r"returned a tuple of 5 as the gradients, expected"),
    "not nested": (lambda *a: (0.5, *loss_and_grads(*a)[1]), r"returned a tuple of 5, expected \(loss, \("),
    "a dict": (lambda *a: {"dW1": a[2]}, r"returned no gradient dL/dB1 among dW1, expected one called B1, dB1 or d"),
    "two": (
        lambda *_: {"W1": 0, "dW1": 0, "dB1": 0, "dW2": 0, "dB2": 0},
        r"returned two gradients dL/dW1 \(W1 and dW1\) among W1, dW1, dB1, dW2, dB2, expected one called",
    ),
    "writes": (writes_to_W2, r"wrote to its argument W2, expected its arguments unchanged"),
    "resizes": (resizes_B1, r"wrote to its argument B1, expected its arguments unchanged"),
    "random": (random, r"gave another answer for W1 in a second call with the same arguments  \["),
    "accumulates": (Accumulates(), r"gave another answer for W1 in a second call .*: it adds to the sums of the first"),
    "(1, h)": (changed(B1=lambda g, _: g.T), r"dL/dB1: shape \(1, \d\), expected \(\d, 1\): transposed"),
    "(h,)": (changed(B1=lambda g, _: g[:, 0]), r"dL/dB1: shape \(\d,\), expected \(\d, 1\): the same elements in an"),
    "scalar": (changed(B1=lambda g, _: g.sum()), r"dL/dB1: shape \(\), expected \(\d, 1\): summed over everything"),
    "a zero": (changed(B1=lambda *_: 0.0), r"dL/dB1: shape \(\), expected \(\d, 1\): a number without axes"),
    "unsummed": (changed(B1=with_batch), r"dL/dB1: shape \(\d, \d\), .*: not summed over the batch"),
    "other axis": (changed(B1=lambda g, a: with_batch(g, a)[0]), r"dL/dB1: shape \(\d,\), .*: summed over the other"),
    "float32": (changed(B1=lambda g, _: g.astype("f")), r"dL/dB1: dtype float32, expected float64"),
    "complex": (changed(B1=lambda g, _: g + 0j), r"dL/dB1: dtype complex128, expected float64"),
    "object": (changed(B1=lambda g, _: g.astype(object)), r"dL/dB1: dtype object, expected float64"),
    "NaN": (changed(B1=lambda g, _: g * np.nan), r"dL/dB1: nan at \[0, 0\], expected -?\d"),
    "infinity": (changed(B1=lambda g, _: g + np.inf), r"dL/dB1: inf at \[0, 0\], expected -?\d"),
    "losses": (changed(loss=lambda loss, a: loss + a.inputs[:, 0]), r"loss: shape \(\d,\), .*: one loss for each"),
    "loss (1, 1)": (changed(loss=lambda loss, _: np.full((1, 1), loss)), r"loss: shape \(1, 1\), expected \(\)"),
}  # fmt: skip  # one a line


@pytest.mark.parametrize(("candidate", "message"), BREACHES.values(), ids=BREACHES)
def test_a_breach_has_a_plain_message(candidate, message):
    report = check(candidate, cases=8, shapes=Shapes(batch=(7, 9), hidden=(2, 6)))
    assert not report.passed
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(str(report))
