"""The judge judged: planted mistakes go red, correct code stays green, and a seed is a verdict."""

from functools import partial

import numpy as np
import pytest
import torch

from numpy_impl import forward, loss_and_grads
from numpy_impl import mlp as mlp_module
from tests.correct import CORRECT, with_the_shortcut
from tests.planted import STRAY_2, changed, now_and_then, rewritten, updated_W2
from torch_ref import Shapes, TwoLayers, check
from torch_ref.judging import own_noise
from torch_ref.precision import PRECISIONS
from torch_ref.rounding import noise, replay
from torch_ref.settings import Settings

SHAPES = Shapes(batch=(1, 32), outputs=(1, 3))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("candidate", CORRECT, ids=lambda candidate: candidate.__name__)
def test_correct_code_stays_green_however_it_is_written(candidate, dtype):
    report = check(candidate, cases=60, seed=1, dtype=dtype, shapes=SHAPES)
    assert report.passed, str(report)
    assert report.ordinary.cases == 60


PLANTED = {
    "a stray 2": (STRAY_2, {"W2"}),
    "the other sign": (changed(B1=lambda g, _: -g), {"B1"}),
    "sum for mean in one gradient": (changed(W1=lambda g, a: g * a.targets.size), {"W1"}),
    "a batch of 4 hard-coded": (changed(B2=lambda g, a: g * len(a.inputs) / 4), {"B2"}),
    "the updated W2 used for dW1": (updated_W2, {"W1", "B1"}),
    "a bias averaged": (changed(B1=lambda g, a: g / len(a.inputs)), {"B1"}),
    "the loss in bits": (changed(loss=lambda loss, _: loss / np.log(2)), {"loss"}),
    "a gradient of zeros": (changed(W1=lambda g, _: 0 * g), {"W1"}),
    "weight decay": (changed(W2=lambda g, a: g + 1e-3 * a.W2), {"W2"}),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("candidate", "wrong"), PLANTED.values(), ids=PLANTED)
@pytest.mark.usefixtures("verdicts_alone")
def test_planted_mistakes_go_red_where_they_are(candidate, wrong, dtype):
    report = check(candidate, cases=10, dtype=dtype, shapes=SHAPES)
    assert not report.passed
    assert {name for name, tally in report.ordinary.tallies.items() if tally.failed} == wrong


@pytest.mark.usefixtures("undiagnosed")
def test_a_failure_is_shrunk_to_the_smallest_case():
    """Wrong from a batch of 3 and 2 hidden units on: that is the case to look at."""
    wrong = changed(W1=lambda g, a: g * 2 if len(a.inputs) >= 3 and len(a.W1) >= 2 else g)
    report = check(wrong, cases=40)
    assert report.ordinary.failure.case.sizes == {"batch": 3, "in": 1, "hidden": 2, "out": 1}
    assert report.ordinary.failure.case.seed == 0
    assert not report.ordinary.tallies["W1"].worst.passed
    assert "[seed=0 batch=3 in=1 hidden=2 out=1 float64]" in str(report)


@pytest.mark.usefixtures("verdicts_alone")
def test_a_smallest_case_that_is_right_when_judged_again_is_no_failure(monkeypatch):
    """The one that failed before stays: so it may be with code that remembers."""
    wrong = changed(W1=lambda g, a: g * 2 if len(a.inputs) >= 3 else g)
    right = TwoLayers().cases.draw(1, 1, 1, 1, seed=0)
    monkeypatch.setattr("torch_ref.trials.smallest_of", lambda *_: right)
    report = check(wrong, cases=5)
    assert not report.passed
    assert report.failure.case.sizes["batch"] >= 3


@pytest.mark.usefixtures("verdicts_alone")
def test_what_is_wrong_in_one_case_is_replayed_in_no_other(monkeypatch):
    """Not among explicit cases, nor drawn ones, nor in the smallest: a few replays are of what is right."""
    replays = []
    monkeypatch.setattr("torch_ref.comparison.replay", lambda *of, **how: replays.append(1) or replay(*of, **how))
    assert not check(changed(W1=lambda g, _: g * 2), cases=20).passed
    assert len(replays) < 8


@pytest.mark.usefixtures("verdicts_alone")
@pytest.mark.parametrize("candidate", [STRAY_2, now_and_then], ids=["always", "now and then"])
def test_the_same_seed_gives_the_same_report_and_another_one_does_not(candidate):
    reports = [str(check(candidate, cases=30, seed=seed, shapes=SHAPES)) for seed in (5, 5, 6)]
    assert reports[0] == reports[1] != reports[2]


@pytest.mark.parametrize(("dtype", "saturated"), [("float32", 17), ("float64", 28)])
def test_every_case_is_of_the_dtype_and_the_kind_that_was_asked_for(dtype, saturated):
    judged, largest = [], {}

    def candidate(inputs, targets, *parameters):
        assert {array.dtype for array in (inputs, targets, *parameters)} == {np.dtype(dtype)}
        largest.setdefault(judged[-1], np.abs(forward(inputs, *parameters).G2).max())
        return loss_and_grads(inputs, targets, *parameters)

    report = check(candidate, cases=40, dtype=dtype, on_case=judged.append)
    assert report.ordinary.breach is None
    assert judged == list(range(50))  # one call before each
    assert max(largest[case] for case in range(40)) <= 12
    assert min(largest[case] for case in range(40, 50)) > saturated
    assert report.saturated.cases == 10


def test_at_least_one_case_is_saturated():
    assert check(loss_and_grads, cases=3).saturated.cases == 1


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_autograds_own_noise_is_that_of_the_first_case(dtype):
    reference = TwoLayers()
    case = reference.cases.draw(*reference.cases.explicit()[0].sizes, seed=3, precision=PRECISIONS[dtype])
    right = reference.evaluate(case)
    in_units = {
        name: size / (PRECISIONS[dtype].unit_roundoff * np.abs(right[name]).max())
        for name, size in noise(partial(reference.evaluate, case), right).items()
    }
    assert own_noise(reference, Settings(seed=3, precision=PRECISIONS[dtype])) == pytest.approx(in_units)
    assert min(in_units.values()) > 0.1


def test_saturated_cases_decide_only_when_strict():
    ordinary = check(with_the_shortcut, cases=40)
    assert ordinary.passed
    assert ordinary.saturated.cases == 10
    assert ordinary.saturated.failed > 0
    assert not check(with_the_shortcut, cases=40, strict=True).passed


@pytest.mark.usefixtures("verdicts_alone")
def test_strict_makes_saturated_cases_count():
    as_printed = rewritten("averaged_bias", "mean(axis=1", "sum(axis=1").loss_and_grads
    assert check(as_printed, cases=40).passed
    assert not check(as_printed, cases=40, strict=True).passed


@pytest.mark.usefixtures("verdicts_alone")
@pytest.mark.parametrize(("constant", "value"), [("LOG_MIN", -99.0), ("EPSILON", 1e-12)])
def test_saturated_cases_hold_to_torchs_own_constants(monkeypatch, constant, value):
    """Its logarithms stop at -100, and its 1e-12 is a float32."""
    assert check(loss_and_grads, cases=100).saturated.failed == 0
    monkeypatch.setattr(mlp_module, constant, value)
    assert check(loss_and_grads, cases=100).saturated.failed > 0


def test_a_check_restores_the_number_of_threads():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        check(loss_and_grads, cases=5)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_ctrl_c_ends_in_order_with_what_is_known():
    calls = []

    def interrupted(*arrays):
        calls.append(1)
        if len(calls) == 40:
            raise KeyboardInterrupt
        return loss_and_grads(*arrays)

    report = check(interrupted, cases=100)
    assert report.interrupted
    assert 10 < report.ordinary.cases < 40
    assert not report.passed
