"""Mistakes that plain random numbers do not show: each must go red at the defaults, in both dtypes."""

import numpy as np
import pytest

from numpy_impl import Parameters, loss_and_grads
from torch_ref import check


def on(data):
    """The right network on data that was tampered with; the loss stays right."""

    def candidate(x, t, *parameters):
        loss, _ = loss_and_grads(x, t, *parameters)
        return loss, loss_and_grads(*data(x, t), *parameters)[1]

    return candidate


def with_gradients(change):
    def candidate(x, t, *parameters):
        loss, grads = loss_and_grads(x, t, *parameters)
        return loss, Parameters(*map(change, grads))

    return candidate


def nan_where_an_input_is_0(x, t, *parameters):
    loss, grads = loss_and_grads(x, t, *parameters)
    with np.errstate(all="ignore"):
        one = (x / x)[:1].sum() / x[:1].size
    return loss, Parameters(*(grad * one for grad in grads))


def duplicates_dropped(x, t):
    _, first = np.unique(x, axis=0, return_index=True)
    rows = np.sort(first)
    return x[rows], t[rows]


def assumes_c_order(x, t, W1, *rest):
    right = loss_and_grads(x, t, W1, *rest)
    return right if x.flags.c_contiguous else loss_and_grads(x.ravel(order="K").reshape(x.shape), t, W1, *rest)


def blocks_of(size):
    """The batch in blocks; what is left over after the last whole one is dropped."""

    def kept(x, t):
        whole = len(x) // size * size or len(x)
        return x[:whole], t[:whole]

    def candidate(x, t, *parameters):
        loss, _ = loss_and_grads(x, t, *parameters)
        some, targets = kept(x, t)
        _, grads = loss_and_grads(some, targets, *parameters)
        return loss, Parameters(*(grad * grad.dtype.type(len(some) / len(x)) for grad in grads))

    return candidate


def norm_clipped(limit):
    def candidate(*arrays):
        loss, grads = loss_and_grads(*arrays)
        norm = np.sqrt(sum((grad.astype(float) ** 2).sum() for grad in grads))
        return loss, Parameters(*(grad * grad.dtype.type(min(1, limit / norm)) for grad in grads))

    return candidate


def largest_corner(x, t, W1, *rest):
    loss, grads = loss_and_grads(x, t, W1, *rest)
    return loss, grads._replace(W1=grads.W1 * 2) if (*x.shape, len(W1)) == (64, 5, 8) else grads


def off_where(name, condition):
    """∂L/∂W1 is half of what is right where this argument is of some sort."""

    def candidate(inputs, targets, W1, B1, W2, B2):
        loss, grads = loss_and_grads(inputs, targets, W1, B1, W2, B2)
        met = condition({"inputs": inputs, "W1": W1, "B1": B1}[name])
        return loss, grads._replace(W1=grads.W1 / 2) if met else grads

    return candidate


def wide(x, t, W1, *rest):
    """A buffer that is too small for more than 16 hidden units or 8 inputs."""
    loss, grads = loss_and_grads(x, t, W1, *rest)
    dW1 = grads.W1.copy()
    dW1[16:, 8:] = 0
    return loss, grads._replace(W1=dW1)


WRONG = {
    "NaN where an input is 0": nan_where_an_input_is_0,
    "duplicates dropped": on(duplicates_dropped),
    "inputs cut at 6": on(lambda x, t: (x.clip(-6, 6), t)),
    "C order assumed": assumes_c_order,
    "elements clipped at 1": with_gradients(lambda g: g.clip(-1, 1)),
    "norms clipped at 2": norm_clipped(2),
    "norms clipped at 5": norm_clipped(5),
    "blocks of 32": blocks_of(32),
    "blocks of 64": blocks_of(64),
    "blocks of 128": blocks_of(128),
    "the largest corner": largest_corner,
    "wide": wide,
    "zeros in a weight": off_where("W1", lambda W1: (W1 == 0).any()),
    "biases of 0": off_where("B1", lambda B1: not B1.any()),
    "a feature that is always 0": off_where("inputs", lambda x: x.shape[1] > 1 and not x.any(axis=0).all()),
    "the same sample throughout": off_where("inputs", lambda x: len(x) > 1 and not np.ptp(x, axis=0).any()),
    "equal hidden units": off_where("W1", lambda W1: len(W1) > 1 and not np.ptp(W1, axis=0).any()),
    "negative inputs": off_where("inputs", lambda x: x.size > 9 and (x < 0).all()),
    "small inputs": off_where("inputs", lambda x: np.abs(x).max() < 0.2),
    "large W1": off_where("W1", lambda W1: np.abs(W1).max() > 30),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("candidate", WRONG.values(), ids=WRONG)
@pytest.mark.usefixtures("verdicts_alone")
def test_it_goes_red_at_the_defaults(candidate, dtype):
    report = check(candidate, dtype=dtype)
    assert not report.passed
    assert report.failure is not None
    assert report.ordinary.cases == 100
