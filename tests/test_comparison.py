"""One candidate on one case: no false alarm, and nothing too small to be seen."""

from functools import partial

import numpy as np
import pytest
from hypothesis import event, given, target
from hypothesis import strategies as st

from numpy_impl import loss_and_grads
from tests.comparing import GRADIENTS, compared, draw
from tests.correct import CORRECT
from tests.planted import changed
from torch_ref import Shapes, TwoLayers
from torch_ref.candidate.calling import InProcess
from torch_ref.comparison import compare
from torch_ref.precision import PRECISIONS
from torch_ref.rounding import allowed, bound, noise
from torch_ref.two_layers.cases import TwoLayerCases

SHAPES = Shapes(batch=(1, 32), outputs=(1, 3))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@given(data=st.data())
def test_a_search_for_a_false_alarm_finds_none(dtype, data):
    """Hypothesis maximizes the error of any right candidate, as a share of what is allowed with all noise measured.

    The noise is the reference's: it is measured once a case.
    """
    reference = TwoLayers()
    case = data.draw(TwoLayerCases(SHAPES).strategy(PRECISIONS[dtype]))
    with reference.lent() as evaluate:
        measured = noise(partial(evaluate, case), evaluate(case))
    worst = 0.0
    for candidate in CORRECT:
        comparison = compared(candidate, case, reference)
        assert comparison.passed, f"{candidate.__name__}: {comparison}"
        for name, line in comparison.lines.items():
            worst = max(
                worst, line.error / max(line.allowed, allowed(case.precision, line.largest, measured[name], case.terms))
            )
    target(worst)


@given(seed=st.integers(0, 2**32 - 1), name=st.sampled_from(GRADIENTS), position=st.integers(0, 10**6))
def test_a_relative_error_of_1e_12_in_one_element_goes_red(seed, name, position):
    """In any element within a factor of ten of the largest: smaller ones may be what is left of sums that cancel."""

    def nudge(grad, _):
        wrong = grad.copy()
        elements = np.flatnonzero(np.abs(wrong) >= np.abs(wrong).max() / 10)
        wrong.flat[elements[position % len(elements)]] *= 1 + 1e-12
        return wrong

    case = draw(6, 3, 4, 2, seed=seed)
    comparison = compared(changed(**{name: nudge}), case, TwoLayers())
    tensor = comparison.lines[name]
    event(f"can tell: {tensor.allowed < 1e-13 * tensor.largest}")  # nine cases in ten; the next test demands it
    if tensor.allowed < 1e-13 * tensor.largest:
        assert not tensor.passed
    assert all(line.passed for other, line in comparison.lines.items() if other != name)


def test_a_relative_error_of_1e_12_in_one_gradient_goes_red_in_95_of_100_cases():
    def wrong(*arrays):
        loss, grads = loss_and_grads(*arrays)
        return loss, tuple(grad * (1 + 1e-12) for grad in grads)

    cases = [draw(1 + seed % 16, 1 + seed % 5, 1 + seed % 8, 1 + seed % 3, seed=seed) for seed in range(200)]
    reference = TwoLayers()
    candidate = InProcess(wrong, reference.results, {})
    with reference.lent() as evaluate:
        comparisons = [compare(candidate, case, evaluate) for case in cases]
    for name in GRADIENTS:
        assert sum(not comparison.lines[name].passed for comparison in comparisons) >= 0.95 * len(cases)
    assert all(comparison.lines["loss"].passed for comparison in comparisons)


def evaluations(candidate, case, **options):
    """How many times autograd computes a case until it is decided, and the comparison."""
    cases, reference = [], TwoLayers()

    def evaluate(of):
        cases.append(of)
        return reference.evaluate(of)

    comparison = compare(InProcess(candidate, reference.results, {}), case, evaluate, **options)
    return len(cases), comparison


def test_what_is_far_off_again_needs_no_replay():
    """Once a gradient has failed for sure, the cases in which it is as wrong are counted at the price of right ones."""
    doubled, case = changed(W1=lambda grad, _: 2 * grad), draw(5, 3, 4, 2, seed=0)
    first, proved = evaluations(doubled, case)
    second, again = evaluations(doubled, case, wrong={"W1"})
    assert (first, second) == (7, 1)
    assert {name for name, line in again.lines.items() if not line.passed} == {"W1"}
    assert again.lines["W1"].allowed <= proved.lines["W1"].allowed
    other, _ = evaluations(doubled, case, wrong={"B1"})
    assert other == 7


def test_coins_that_cancel_accuse_nobody():
    """1 - S1 is 4e-9. The coin for what the sigmoid returns and that for what is given on may undo each other."""
    case = draw(2, 9, 1, 3, seed=3235731143)
    for candidate in CORRECT:
        comparison = compared(candidate, case, TwoLayers())
        assert comparison.passed, f"{candidate.__name__}: {comparison}"
    reference = TwoLayers()
    evaluate = partial(reference.evaluate, case)
    assert bound(evaluate, plain := evaluate())["W1"] > 1e-6 * np.abs(plain["W1"]).max()


@pytest.mark.parametrize(("error", "count"), [(1e-9, 1), (1e-12, 2), (1e-13, 6)])
def test_what_is_a_little_off_again_is_asked_no_more_than_decides(error, count):
    """What its arguments explain, then one replay of each kind; the less it is off, the more is measured."""
    slightly, case = changed(W1=lambda grad, _: grad * (1 + error)), draw(5, 3, 4, 2, seed=0)
    seen, comparison = evaluations(slightly, case, wrong={"W1"})
    assert seen == count
    assert not comparison.lines["W1"].passed
    assert evaluations(slightly, case)[0] > count


def test_cases_are_counted_as_if_each_were_measured_to_the_end():
    slightly = changed(W1=lambda grad, _: grad * (1 + 2e-14))
    cases = [draw(5, 3, 4, 2, seed=seed) for seed in range(12)]
    verdicts = [[evaluations(slightly, case, wrong=wrong)[1].passed for case in cases] for wrong in ((), {"W1"})]
    assert verdicts[0] == verdicts[1]
    assert len(set(verdicts[0])) == 2
