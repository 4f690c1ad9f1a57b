"""The judge judged: planted mistakes go red, however small; correct code, however written, stays green."""

import re
import sys
import timeit
from functools import partial
from zlib import crc32

import numpy as np
import pytest
import torch
from hypothesis import event, given, target
from hypothesis import strategies as st

from numpy_impl import forward, loss_and_grads
from numpy_impl import mlp as mlp_module
from tests.comparing import compared, draw
from tests.correct import CORRECT, with_the_shortcut
from torch_ref import Shapes, TwoLayers, assert_matches_autograd, check
from torch_ref.precision import PRECISIONS
from torch_ref.rounding import noise
from torch_ref.two_layers.cases import TwoLayerCases

SHAPES = Shapes(batch=(1, 32), outputs=(1, 3))
NAMES = "W1", "B1", "W2", "B2"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("candidate", CORRECT, ids=lambda candidate: candidate.__name__)
def test_correct_code_stays_green_however_it_is_written(candidate, dtype):
    report = check(candidate, cases=60, seed=1, dtype=dtype, shapes=SHAPES)
    assert report.passed, str(report)
    assert report.ordinary.cases == 60


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("candidate", CORRECT, ids=lambda candidate: candidate.__name__)
@given(data=st.data())
def test_a_search_for_a_false_alarm_finds_none(candidate, dtype, data):
    """Hypothesis maximises the error, as a share of what is allowed with the noise of every tensor measured."""
    comparison = compared(
        candidate, data.draw(TwoLayerCases(SHAPES).strategy(PRECISIONS[dtype])), TwoLayers(), lazy=False
    )
    target(max(tensor.severity for tensor in comparison.lines.values()))
    assert comparison.passed, str(comparison)


def changed(name, change):
    """The right answer, but for one tensor, changed with what it takes to get it wrong."""

    def candidate(x, t, *parameters):
        loss, grads = loss_and_grads(x, t, *parameters)
        answer = {"loss": loss, **grads._asdict()}
        answer[name] = change(answer[name], x=x, t=t, **dict(zip(NAMES, parameters, strict=True)))
        return answer["loss"], tuple(answer[name] for name in NAMES)

    return candidate


def updated_W2(x, t, W1, B1, W2, B2):
    loss, (_, _, dW2, dB2) = loss_and_grads(x, t, W1, B1, W2, B2)
    _, S1, _, S2 = forward(x, W1, B1, W2, B2)
    dG1 = (W2 - 0.1 * dW2).T @ (S2 - t.T) / t.size * S1 * (1 - S1)
    return loss, (dG1 @ x, dG1.sum(1, keepdims=True), dW2, dB2)


PLANTED = {
    "a stray 2": (changed("W2", lambda g, **_: 2 * g), {"W2"}),
    "the other sign": (changed("B1", lambda g, **_: -g), {"B1"}),
    "sum for mean in one gradient": (changed("W1", lambda g, t, **_: g * t.size), {"W1"}),
    "a batch of 4 hard-coded": (changed("B2", lambda g, x, **_: g * len(x) / 4), {"B2"}),
    "the updated W2 used for dW1": (updated_W2, {"W1", "B1"}),
    "a bias averaged": (changed("B1", lambda g, x, **_: g / len(x)), {"B1"}),
    "the loss in bits": (changed("loss", lambda loss, **_: loss / np.log(2)), {"loss"}),
    "a gradient of zeros": (changed("W1", lambda g, **_: 0 * g), {"W1"}),
    "weight decay": (changed("W2", lambda g, W2, **_: g + 1e-3 * W2), {"W2"}),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("candidate", "wrong"), PLANTED.values(), ids=PLANTED)
def test_planted_mistakes_go_red_where_they_are(candidate, wrong, dtype):
    report = check(candidate, cases=10, dtype=dtype, shapes=SHAPES)
    assert not report.passed
    assert {name for name, tally in report.ordinary.tallies.items() if tally.failed} == wrong


@given(seed=st.integers(0, 2**32 - 1), name=st.sampled_from(NAMES), position=st.integers(0, 10**6))
def test_a_relative_error_of_1e_12_in_one_element_goes_red(seed, name, position):
    """In any element within a factor of ten of the largest: smaller ones may be what is left of sums that cancel."""

    def nudge(grad, **_):
        wrong = grad.copy()
        elements = np.flatnonzero(np.abs(wrong) >= np.abs(wrong).max() / 10)
        wrong.flat[elements[position % len(elements)]] *= 1 + 1e-12
        return wrong

    case = draw(6, 3, 4, 2, seed=seed)
    comparison = compared(changed(name, nudge), case, TwoLayers())
    tensor = comparison.lines[name]
    event(f"can tell: {tensor.allowed < 1e-13 * tensor.largest}")  # nine cases in ten; the next test holds it to that
    assert tensor.passed == (tensor.error <= tensor.allowed)
    if tensor.allowed < 1e-13 * tensor.largest:
        assert not tensor.passed
    assert all(line.passed for other, line in comparison.lines.items() if other != name)


def test_a_relative_error_of_1e_12_in_one_gradient_goes_red_in_95_of_100_cases():
    def wrong(*arrays):
        loss, grads = loss_and_grads(*arrays)
        return loss, tuple(grad * (1 + 1e-12) for grad in grads)

    cases = [draw(1 + seed % 16, 1 + seed % 5, 1 + seed % 8, 1 + seed % 3, seed=seed) for seed in range(300)]
    comparisons = [compared(wrong, case, TwoLayers()) for case in cases]
    for name in NAMES:
        assert sum(not comparison.lines[name].passed for comparison in comparisons) >= 0.95 * len(cases)
    assert all(comparison.lines["loss"].passed for comparison in comparisons)


def test_a_reduction_parameter_is_given_the_reduction():
    assert_matches_autograd(loss_and_grads, cases=20, reduction="sum")
    report = check(partial(loss_and_grads, reduction="mean"), cases=20, reduction="sum", shapes=Shapes(batch=(2, 9)))
    assert report.passed  # a keyword given before is given again
    report = check(PLANTED["a stray 2"][0], cases=20, reduction="sum", shapes=Shapes(batch=(2, 9)))
    assert report.ordinary.tallies["loss"].failed == 20  # it has no such parameter and returns the mean


def test_a_failure_is_shrunk_to_the_smallest_case():
    """Wrong from a batch of 3 and 2 hidden units on: that is the case to look at."""
    wrong = changed("W1", lambda g, x, W1, **_: g * 2 if len(x) >= 3 and len(W1) >= 2 else g)
    report = check(wrong, cases=40)
    assert report.ordinary.failure.case.sizes == {"batch": 3, "in": 1, "hidden": 2, "out": 1}
    assert report.ordinary.failure.case.seed == 0
    assert "[seed=0 batch=3 in=1 hidden=2 out=1 float64]" in str(report)


def test_a_comparison_in_one_line_a_tensor():
    """What, where, both values, how far apart, how much is allowed, and the case to see it again."""
    case = draw(4, 3, 5, 2, seed=0)
    loss, grads = loss_and_grads(*case.arguments.values())

    def shifted(grad, **_):
        wrong = grad.copy()
        wrong[-1, 0] += 0.5
        return wrong

    comparison = compared(changed("W2", shifted), case, TwoLayers())
    right = comparison.autograd["W2"][1, 0].item()
    line = re.fullmatch(
        r"dL/dW2\[1, 0\]: yours (\S+), autograd (\S+), off by 0.5 \(allowed \d\.\d(e-\d\d)\)  "
        r"\[seed=0 batch=4 in=3 hidden=5 out=2 float64\]",
        str(comparison),
    )
    assert (float(line[1]), float(line[2])) == (float(grads.W2[1, 0] + 0.5), right)  # to the last digit
    single = draw(4, 3, 5, 2, seed=0, dtype="float32")
    in_single = str(compared(changed("B1", shift_first), single, TwoLayers()))
    yours = shift_first(loss_and_grads(*single.arguments.values())[1].B1)[0, 0]
    assert in_single.startswith(f"dL/dB1[0, 0]: yours {yours!s}, autograd ")  # a float32 has no seventeen digits
    assert in_single.endswith("float32]")
    both = compared(lambda *arrays: (0.0, [grads.W1 * 0, *loss_and_grads(*arrays)[1][1:]]), case, TwoLayers())
    first, second = str(both).splitlines()
    assert first.startswith(f"loss: yours 0.0, autograd {both.autograd['loss'].item()!r}, off by ")
    assert second.startswith("dL/dW1[")
    lines = str(compared(loss_and_grads, case, TwoLayers())).splitlines()
    assert [re.split("[:[]", line)[0] for line in lines] == [
        "loss", "dL/dW1", "dL/dB1", "dL/dW2", "dL/dB2"
    ]  # fmt: skip  # a match is told in full
    assert both.lines["loss"].yours == 0.0 != loss


def shift_first(grad, **_):
    wrong = grad.copy()
    wrong[0, 0] += 1
    return wrong


def now_and_then(x, t, *parameters):
    """Wrong in some cases, in a way that no search can find the smallest of."""
    loss, (dW1, *others) = loss_and_grads(x, t, *parameters)
    return loss, (dW1 * (2 if crc32(x.tobytes()) % 8 == 0 else 1), *others)


@pytest.mark.parametrize("candidate", [PLANTED["a stray 2"][0], now_and_then], ids=["always", "now and then"])
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


def test_what_a_check_does_when_nothing_is_said():
    report = check(loss_and_grads)
    assert {key: report.settings[key] for key in ("cases", "seed", "dtype", "strict")} == {
        "cases": 100, "seed": 0, "dtype": "float64", "strict": False
    }  # fmt: skip
    assert report.seconds is None
    assert report.evidence == []  # what passes is not diagnosed


class Mine:
    def __call__(self, *arrays):
        return loss_and_grads(*arrays)


def test_a_report_has_the_name_of_its_candidate():
    assert check(loss_and_grads, cases=1).name == "numpy_impl.mlp:loss_and_grads"
    assert check(Mine(), cases=1).name == f"{__name__}:Mine"
    assert check(Mine(), cases=1, name="mine").name == "mine"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_autograds_own_noise_is_that_of_the_first_case(dtype):
    reference = TwoLayers()
    case = reference.cases.draw(*reference.cases.explicit()[0].sizes, seed=3, precision=PRECISIONS[dtype])
    right = reference.evaluate(case)
    in_units = {
        name: size / (PRECISIONS[dtype].unit_roundoff * np.abs(right[name]).max())
        for name, size in noise(partial(reference.evaluate, case), right).items()
    }
    assert check(loss_and_grads, cases=1, seed=3, dtype=dtype).noise == pytest.approx(in_units)
    assert min(in_units.values()) > 0.1


def test_an_assertion_that_fails_has_the_report_and_no_frame_of_ours():
    wrong = PLANTED["a stray 2"][0]
    with pytest.raises(AssertionError) as raised:
        assert_matches_autograd(wrong, cases=10)
    assert str(raised.value) == f"not the gradient that autograd computes\n\n{check(wrong, cases=10)}"
    assert raised.traceback[-1].ishidden(raised)


def test_seconds_are_those_of_the_best_call(monkeypatch):
    """By a clock of ours: 20 times 20 calls of the candidate and of autograd in turn."""
    calls = iter([*range(9, 45), 6, 8, *range(50, 52)])

    def clocked(called, number):
        called()
        return number * next(calls)

    monkeypatch.setattr(timeit, "timeit", clocked)
    assert check(loss_and_grads, cases=1, time=True).seconds == (6, 8)
    assert next(calls, None) is None


def test_a_candidate_may_write_and_warn_while_it_is_timed(capsys):
    def noisy(*arrays):
        sys.stdout.write("here I am\n")
        np.log(np.zeros(1))
        return loss_and_grads(*arrays)

    assert check(noisy, cases=1, time=True).passed
    assert capsys.readouterr().out == ""


def test_saturated_cases_decide_only_when_strict():
    ordinary = check(with_the_shortcut, cases=40)
    assert ordinary.passed
    assert ordinary.saturated.cases == 10
    assert ordinary.saturated.failed > 0
    assert not check(with_the_shortcut, cases=40, strict=True).passed


@pytest.mark.parametrize(("constant", "value"), [("LOG_MIN", -99.0), ("EPSILON", 1e-12)])
def test_saturated_cases_hold_to_torchs_own_constants(monkeypatch, constant, value):
    """Its logarithms stop at -100, and its 1e-12 is a float32."""
    assert check(loss_and_grads, cases=100).saturated.failed == 0
    monkeypatch.setattr(mlp_module, constant, value)
    assert check(loss_and_grads, cases=100).saturated.failed > 0


def test_cases_that_prove_nothing_are_counted():
    """With hidden units driven to S1 = 1 the true gradient of W1 is 0, and a gradient of zeros would pass."""
    case = draw(5, 3, 4, 2, seed=0)
    case.arguments["B1"][:] = 1000.0
    comparison = compared(loss_and_grads, case, TwoLayers())
    assert comparison.passed
    vacuous = {name for name, tensor in comparison.lines.items() if tensor.vacuous}
    assert vacuous == {"W1", "B1"}


def test_a_check_restores_the_number_of_threads():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        check(loss_and_grads, cases=5)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"dtype": "float16"}, ValueError, "dtype: 'float16', expected 'float64' or 'float32'"),
        ({"reduction": "none"}, ValueError, "reduction: 'none', expected 'mean' or 'sum'"),
        ({"cases": 0}, ValueError, "cases: 0, expected a whole number of 1 or more"),
        ({"cases": 2.5}, ValueError, "cases: 2.5, expected a whole number of 1 or more"),
        ({"seed": -1}, ValueError, "seed: -1, expected a whole number of 0 or more"),
        ({"activation": "gelu"}, ValueError, "activation: 'gelu', expected 'sigmoid' or 'tanh' or 'relu'"),
        ({"loss": "hinge"}, ValueError, "loss: 'hinge', expected 'bce' or 'mse' or 'half-mse'"),
        ({"candidate": 3}, TypeError, "candidate: 3, expected a function"),
        ({"reference": 3}, TypeError, "reference: 3, expected a Reference"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        check(**{"candidate": loss_and_grads} | options)


@pytest.mark.parametrize("batch", [(0, 4), (5, 4), (-1, 2)])
def test_ranges_that_make_no_sense_are_refused(batch):
    with pytest.raises(ValueError, match=f"batch: from {batch[0]} to {batch[1]}, expected"):
        Shapes(batch=batch)
