"""`check` and `assert_matches_autograd`: their options, and what they refuse."""

import tracemalloc
from functools import partial

import pytest
from torch import nn
from torch.nn import functional as F

from numpy_impl import loss_and_grads
from tests.planted import STRAY_2, draw_rows, linear
from torch_ref import Reference, Shapes, TwoLayers, assert_matches_autograd, check


def test_what_a_check_does_when_nothing_is_said():
    report = check(loss_and_grads)
    assert {key: report.settings[key] for key in ("cases", "seed", "dtype", "strict")} == {
        "cases": 100, "seed": 0, "dtype": "float64", "strict": False
    }  # fmt: skip
    assert report.times == []
    assert report.evidence == []  # what passes is not diagnosed


class Mine:
    def __call__(self, *arrays):
        return loss_and_grads(*arrays)


def test_a_report_has_the_name_of_its_candidate():
    assert check(loss_and_grads, cases=1).name == "numpy_impl.mlp:loss_and_grads"
    assert check(Mine(), cases=1).name == f"{__name__}:Mine"
    assert check(Mine(), cases=1, name="mine").name == "mine"


def test_a_reduction_parameter_is_given_the_reduction():
    assert_matches_autograd(loss_and_grads, cases=20, reduction="sum")
    report = check(partial(loss_and_grads, reduction="mean"), cases=20, reduction="sum", shapes=Shapes(batch=(2, 9)))
    assert report.passed  # a keyword given before is given again
    report = check(STRAY_2, cases=20, reduction="sum", shapes=Shapes(batch=(2, 9)))
    assert report.ordinary.tallies["loss"].failed == 20  # it has no such parameter and returns the mean


def test_an_assertion_that_fails_has_the_report_and_no_frame_of_ours():
    wrong = STRAY_2
    with pytest.raises(AssertionError) as raised:
        assert_matches_autograd(wrong, cases=10)
    assert str(raised.value) == f"not the gradient that autograd computes\n\n{check(wrong, cases=10)}"
    assert raised.traceback[-1].ishidden(raised)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"dtype": "float80"},
            ValueError,
            "dtype: 'float80', expected 'float64' or 'float32' or 'bfloat16' or 'float16'",
        ),
        ({"dtype": ["float64"]}, ValueError, r"dtype: \['float64'\], expected 'float64' or"),
        ({"reduction": "none"}, ValueError, "reduction: 'none', expected 'mean' or 'sum'"),
        ({"cases": 0}, ValueError, "cases: 0, expected a whole number of 1 or more"),
        ({"cases": 2.5}, ValueError, "cases: 2.5, expected a whole number of 1 or more"),
        ({"seed": -1}, ValueError, "seed: -1, expected a whole number of 0 or more"),
        ({"activation": "gelu"}, ValueError, "activation: 'gelu', expected 'sigmoid' or 'tanh' or 'relu'"),
        ({"loss": "hinge"}, ValueError, "loss: 'hinge', expected 'bce' or 'mse' or 'half-mse'"),
        ({"candidate": 3}, TypeError, "candidate: 3, expected a function"),
        ({"reference": 3}, TypeError, "reference: 3, expected a Reference$"),
        ({"reference": TwoLayers}, TypeError, r"expected a Reference; call it: reference=TwoLayers\(\)"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        check(**{"candidate": loss_and_grads} | options)


def test_options_of_the_two_layer_network_do_not_go_with_another_reference():
    with pytest.raises(ValueError, match=r"^loss, reduction: of the two-layer network, not of another reference"):
        check(linear, reference=Reference(nn.Linear(3, 2), F.mse_loss, draw_rows), loss="mse", reduction="sum")


def test_a_check_holds_no_more_than_it_compares():
    """The arguments, twice their memory as strided views, what the candidate makes of them, and one answer."""

    def loss_and_grads_of_a_line(x, t, W, b):
        D = x @ W.T + b - t
        return (D**2).mean(), ((2 / D.size * D).T @ x, (2 / D.size * D).sum(axis=0))

    def batch(rng, batch):
        return rng.standard_normal((batch, 300)), rng.standard_normal((batch, 400))

    line = Reference(nn.Linear(300, 400), F.mse_loss, batch, batch=(1, 8))
    tracemalloc.start()
    try:
        assert check(loss_and_grads_of_a_line, reference=line, cases=6).passed
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 6 * 8 * 300 * 400
