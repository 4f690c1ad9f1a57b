"""What is measured besides: how long calls take, and how near to the truth a candidate is."""

import timeit

import numpy as np
import pytest

from numpy_impl import loss_and_grads
from torch_ref import Shapes, TwoLayers, check
from torch_ref.candidate.calling import InProcess
from torch_ref.judging import judge
from torch_ref.outcome import Outcome
from torch_ref.precision import PRECISIONS
from torch_ref.settings import Settings


@pytest.mark.parametrize(("unit", "number", "turns"), [(1e-6, 20, 20), (1e-3, 1, 20), (1.0, 1, 3)])
def test_a_time_is_that_of_the_best_call_of_many_or_of_three_that_take_long(monkeypatch, unit, number, turns):
    """By a clock of ours: the candidate and autograd in turn, once to see how long they take."""
    seconds = [unit * calls for calls in (9, 10, *range(11, 7 + 2 * turns), 6, 8, 50, 51)]
    left, numbers = iter(seconds), []

    def clocked(called, number):
        called()
        numbers.append(number)
        return number * next(left)

    monkeypatch.setattr(timeit, "timeit", clocked)
    one_size = Shapes(batch=(3, 3), inputs=(2, 2), hidden=(4, 4))
    report = check(loss_and_grads, cases=1, time=True, shapes=one_size)
    (timing,) = report.times
    assert report.seconds == (timing.candidate, timing.autograd)
    assert timing.sizes == {"batch": 3, "in": 2, "hidden": 4, "out": 1}
    assert (timing.candidate, timing.autograd) == (pytest.approx(6 * unit), pytest.approx(8 * unit))
    assert numbers == [1, 1, *[number] * 2 * turns]
    assert next(left, None) is None


def test_calls_are_timed_at_three_sizes_that_the_candidate_can_do():
    def only_small(inputs, *rest):
        if len(inputs) > 64:
            raise ValueError("too many")
        return loss_and_grads(inputs, *rest)

    sizes = [{"batch": 7, "in": 3, "hidden": 5, "out": 1}, {"batch": 64, "in": 5, "hidden": 8, "out": 1}]
    assert [timing.sizes for timing in check(only_small, cases=1, time=True).times] == sizes
    in_range = check(loss_and_grads, cases=1, time=True, shapes=Shapes(batch=(2, 9), inputs=(2, 2), hidden=(4, 4)))
    assert [timing.sizes["batch"] for timing in in_range.times] == [7, 9, 2]


def judged(candidate, dtype="float64", **settings):
    """The outcome of a check in which the accuracy is measured."""
    reference = TwoLayers()
    outcome = Outcome("f", reference.description, {"strict": False})
    asked = Settings(cases=2, precision=PRECISIONS[dtype], accuracy=True, **settings)
    judge(InProcess(candidate, reference.results, reference.options), reference, asked, outcome, lambda _: None)
    assert outcome.passed
    return outcome


def in_float64(*arrays):
    """As near to the truth as float32 can be."""
    loss, grads = loss_and_grads(*(array.astype(np.float64) for array in arrays))
    return arrays[0].dtype.type(loss), tuple(grad.astype(arrays[0].dtype) for grad in grads)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_accuracy_is_how_far_float32_is_off_the_truth_whatever_dtype_is_checked(dtype):
    found = judged(in_float64, dtype).accuracy
    assert [(of.name, of.label, of.dtype) for of in found] == [
        ("loss", "loss", "float32"), *((name, f"dL/d{name}", "float32") for name in ("W1", "B1", "W2", "B2"))
    ]  # fmt: skip
    for of in found:
        assert len(of.candidate) == len(of.autograd) == 20 + len(TwoLayers().cases.explicit())
        assert max(of.candidate) <= 1 + 1e-6  # one rounding of the largest element, to a unit in the last place
        assert sum(of.candidate) < sum(of.autograd)


def test_who_does_not_take_float32_has_no_accuracy_and_passes():
    def raises(inputs, *rest):
        if inputs.dtype == np.float32:
            raise TypeError("float64 only")
        return loss_and_grads(inputs, *rest)

    def stays(*arrays):
        return loss_and_grads(*(array.astype(np.float64) for array in arrays))

    assert judged(raises).accuracy == []
    assert [of.name for of in judged(stays).accuracy] == ["loss"]  # a number without a dtype


def test_what_does_not_come_in_every_case_has_no_accuracy():
    def transposed_of_one(inputs, *rest):
        loss, (dW1, dB1, *others) = loss_and_grads(inputs, *rest)
        return loss, (dW1, dB1.T if inputs.dtype == np.float32 and len(inputs) == 1 else dB1, *others)

    assert [of.name for of in judged(transposed_of_one).accuracy] == ["loss", "W1", "W2", "B2"]


def test_what_is_not_asked_for_is_not_measured():
    def two(*arrays):
        loss, (dW1, *_) = loss_and_grads(*arrays)
        return loss, {"W1": dW1}

    assert [of.name for of in judged(two, only=("loss", "W1")).accuracy] == ["loss", "W1"]
    report = check(loss_and_grads, cases=1)
    assert (report.accuracy, report.times) == ([], [])
