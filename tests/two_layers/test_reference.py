"""The two-layer family: green for its own formula, red for any other."""

from itertools import product

import numpy as np
import pytest

from tests.comparing import compared
from torch_ref import Shapes, TwoLayers, assert_matches_autograd, check
from torch_ref.precision import PRECISIONS


def two_layers(activation, slope, loss, dloss):
    """The family's correct code in NumPy."""

    def candidate(x, t, W1, B1, W2, B2, reduction="mean"):
        G1 = W1 @ x.T + B1
        S1 = activation(G1)
        S2 = 1 / (1 + np.exp(-(W2 @ S1 + B2)))
        terms = x.dtype.type(t.size if reduction == "mean" else 1)
        dG2 = dloss(S2, t.T) * S2 * (1 - S2) / terms
        dG1 = W2.T @ dG2 * slope(G1)
        grads = dG1 @ x, dG1.sum(1, keepdims=True), dG2 @ S1.T, dG2.sum(1, keepdims=True)
        return loss(S2, t.T).sum() / terms, grads

    return candidate


HIDDEN = {
    "sigmoid": (lambda G: 1 / (1 + np.exp(-G)), lambda G: np.exp(-G) / (1 + np.exp(-G)) ** 2),
    "tanh": (lambda G: 2 / (1 + np.exp(-2 * G)) - 1, lambda G: 1 / np.cosh(G) ** 2),
    "relu": (lambda G: np.maximum(G, 0), lambda G: (G >= 0).astype(G.dtype)),
}


LOSSES = {
    "bce": (lambda S, t: -t * np.log(S) - (1 - t) * np.log(1 - S), lambda S, t: (S - t) / (S * (1 - S))),
    "mse": (lambda S, t: (S - t) ** 2, lambda S, t: 2 * (S - t)),
    "half-mse": (lambda S, t: (S - t) ** 2 / 2, lambda S, t: S - t),
}


@pytest.mark.parametrize(("dtype", "reduction"), [("float64", "sum"), ("float32", "mean")])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", HIDDEN)
def test_the_two_layer_family_is_green_for_its_own_formula_and_red_for_any_other(activation, loss, reduction, dtype):
    network = {"activation": activation, "loss": loss, "reduction": reduction, "shapes": Shapes(outputs=(1, 3))}
    report = check(two_layers(*HIDDEN[activation], *LOSSES[loss]), cases=40, dtype=dtype, **network)
    assert report.passed, str(report)
    reference = TwoLayers(**network)
    case = reference.cases.draw(7, 3, 5, 2, seed=0, precision=PRECISIONS[dtype])
    for other in {*product(HIDDEN, LOSSES)} - {(activation, loss)}:
        candidate = two_layers(*HIDDEN[other[0]], *LOSSES[other[1]])
        assert not compared(candidate, case, reference).passed


def test_a_candidate_is_given_the_options_that_it_has_parameters_for():
    seen = []

    def candidate(x, t, W1, B1, W2, B2, *, activation, loss):
        seen.append((activation, loss))
        return two_layers(*HIDDEN[activation], *LOSSES[loss])(x, t, W1, B1, W2, B2)

    assert_matches_autograd(candidate, cases=5, activation="tanh", loss="mse")
    assert set(seen) == {("tanh", "mse")}
