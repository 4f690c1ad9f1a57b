"""The benchmark's own arithmetic: what it calls caught is caught, and what it calls rejected is."""

import numpy as np
import pytest

from tests.benchmark.half.operators import KINDS
from tests.benchmark.half.rules import Trial, allclose, assert_close, flash_attention, gradgate_again
from tests.benchmark.half.rules import gradgate as gradgate_in_half
from tests.benchmark.power import ERRORS, cases, controls, false_alarms, off_by, power, smallest_caught
from tests.benchmark.tools import TOOLS, gradgate


def test_the_smallest_error_caught_is_found_by_bisection():
    (case,) = cases(1, "float64")
    for limit in (1.3e-13, 1.3e-9, 2e-5, 0.4):
        found = smallest_caught(lambda candidate, _, limit=limit: error_of(candidate, case) < limit, case, whole=True)
        assert found == ERRORS[np.searchsorted(ERRORS, limit)]
    assert smallest_caught(lambda *_: True, case, whole=True) == np.inf


def error_of(candidate, case):
    """The relative error that was planted, read off the gradients."""
    arguments = list(case.arguments.values())
    right, wrong = (f(*arguments)[1] for f in (off_by(0.0, case.seed, whole=True), candidate))
    return max(np.abs(w / r - 1).max() for w, r in zip(wrong, right, strict=True))


def test_one_element_or_all_of_one_gradient_is_changed():
    for case in cases(8, "float64"):
        arguments = list(case.arguments.values())
        _, right = off_by(0.0, case.seed, whole=True)(*arguments)
        for whole in (True, False):
            _, wrong = off_by(0.5, case.seed, whole=whole)(*arguments)
            changed = [np.count_nonzero(w != r) for w, r in zip(wrong, right, strict=True)]
            assert np.count_nonzero(changed) == 1
            assert max(changed) == (right[case.seed % 4].size if whole else 1)


def test_the_gate_sees_what_the_usual_tolerances_do_not():
    assert np.median(power(gradgate, "float64", 8)[0]) < 1e-12
    assert np.median(power(TOOLS["np.allclose"][0], "float64", 8)[0]) > 1e-7
    assert false_alarms(gradgate, "float32", 14) == 0
    assert false_alarms(TOOLS["np.testing.assert_allclose"][0], "float32", 14) > 0


def test_a_tool_that_says_yes_to_everything_shows():
    assert controls(lambda *_: True, "float64", 8) == [0, 0]
    assert controls(gradgate, "float64", 8) == [8, 8]


@pytest.mark.parametrize("name", KINDS)
def test_an_operator_and_its_parts_are_the_same_function(name):
    trial = Trial(name, 4, "bfloat16")
    parts = trial.parts.evaluate(trial.case.judged)
    for key, array in trial.truth.items():
        np.testing.assert_allclose(parts[key], array, rtol=1e-9, atol=1e-12)


def test_rules_of_half_precision_judge_the_numbers_that_they_are_given():
    trial = Trial("matmul", 4, "bfloat16")
    for rule in gradgate_in_half, gradgate_again, flash_attention, assert_close, allclose:
        assert rule(trial, trial.right["in float32, rounded once"])
        assert not rule(trial, trial.off_by(0.5))
    shares = [gradgate_again(trial, trial.off_by(error)) for error in (1e-3, 1e-2, 0.1)]
    assert shares == [True, True, False]
