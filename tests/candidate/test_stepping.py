"""Training steps: whatever they return, what they take from the parameters is judged; and what is wrong is told."""

from functools import partial

import numpy as np
import pytest

from numpy_impl import loss_and_grads
from torch_ref import check

NAMES = "W1", "B1", "W2", "B2"


def new_parameters(x, t, *parameters_and_rate):
    """The loss and the new parameters."""
    *parameters, rate = parameters_and_rate
    loss, grads = loss_and_grads(x, t, *parameters)
    return loss, tuple(p - rate * g for p, g in zip(parameters, grads, strict=True))


def in_place(*arguments, returns):
    loss, after = new_parameters(*arguments)
    for parameter, new in zip(arguments[2:-1], after, strict=True):
        parameter[...] = new
    return returns(loss, arguments[0])


RETURNED = {
    "them": lambda *a: new_parameters(*a)[1],
    "the loss and them": new_parameters,
    "five": lambda *a: (new_parameters(*a)[0], *new_parameters(*a)[1]),
    "by name": lambda *a: dict(zip(NAMES, new_parameters(*a)[1], strict=True)),
    "nothing": partial(in_place, returns=lambda _loss, _x: None),
    "the loss": partial(in_place, returns=lambda loss, _x: loss),
    "the loss and more": partial(in_place, returns=lambda loss, _x: (loss, 0.9)),
    "an array": partial(in_place, returns=lambda _loss, x: x),
    "a history": partial(in_place, returns=lambda loss, _x: {"loss": [loss]}),
}


@pytest.mark.parametrize("candidate", RETURNED.values(), ids=RETURNED)
def test_a_right_step_passes_whatever_it_returns(candidate):
    report = check(candidate, step=True, cases=8)
    assert report.passed, str(report)


def with_W2(change):
    def candidate(x, t, W1, B1, W2, B2, rate):
        _, grads = loss_and_grads(x, t, W1, B1, W2, B2)
        rest = [p - rate * g for p, g in zip((W1, B1, B2), (grads.W1, grads.B1, grads.B2), strict=True)]
        return rest[0], rest[1], W2 - change(rate) * grads.W2, rest[2]

    return candidate


def updates_W2_before_it_is_used(x, t, W1, B1, W2, B2, rate):
    """Back through the new W2, with everything else of the forward pass as it was."""
    _, grads = loss_and_grads(x, t, W1, B1, W2, B2)
    S1 = 1 / (1 + np.exp(-(W1 @ x.T + B1)))
    S2 = 1 / (1 + np.exp(-(W2 @ S1 + B2)))
    W2 = W2 - rate * grads.W2
    dG1 = W2.T @ ((S2 - t.T) / t.size) * S1 * (1 - S1)
    return W1 - rate * dG1 @ x, B1 - rate * dG1.sum(axis=1, keepdims=True), W2, B2 - rate * grads.B2


WRONG = {
    "an updated W2": (updates_W2_before_it_is_used, "with an updated W2 (W2 - the learning rate × ∂L/∂W2)"),
    "no rate": (with_W2(lambda _: 1), "dL/dW2: 0 × autograd's (not changed, or not by the learning rate"),
    "twice": (with_W2(lambda rate: rate**2), "(the learning rate, once more than it should be)"),
    "uphill": (with_W2(lambda rate: -rate), "dL/dW2: -1 × autograd's (the sign is the wrong way round)"),
    "three": (lambda *a: new_parameters(*a)[1][:3], "returned a tuple of 3 as the parameters, expected the new (W1"),
    "no B2": (lambda *a: dict(zip(NAMES[:3], a[2:5], strict=True)), "returned no parameter B2 among W1, B1, W2"),
}  # fmt: skip  # one a line


@pytest.mark.parametrize(("candidate", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_step_is_told_why(candidate, says):
    report = check(candidate, step=True, cases=8)
    assert not report.passed
    assert says in str(report)
