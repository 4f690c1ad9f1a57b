"""What a verdict must not depend on: the order of sums, the calls before, buffers that are used again."""

import numpy as np
import pytest

from numpy_impl import loss_and_grads
from torch_ref import Shapes, check


def in_random_order(x, t, *parameters):
    """Right, but its samples come in another order in each call, and so the last digits differ."""
    order = np.random.default_rng().permutation(len(x))
    return loss_and_grads(x[order], t[order], *parameters)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_sums_in_a_random_order_are_one_answer(dtype):
    report = check(in_random_order, dtype=dtype)
    assert report.passed, str(report)


def test_answers_that_differ_by_more_than_rounding_are_two():
    rng = np.random.default_rng(0)

    def candidate(*arrays):
        loss, grads = loss_and_grads(*arrays)
        return loss, grads._replace(W1=grads.W1 * (1 + 1e-9 * rng.random()))

    report = check(candidate)
    assert not report.passed
    assert "gave another answer for W1 in a second call" in str(report)


class Buffers:
    """Gradients in arrays that are used again in each call; summed up over the calls, if they accumulate."""

    def __init__(self, *, accumulates):
        self.accumulates, self.grads = accumulates, {}

    def __call__(self, *arrays):
        loss, grads = loss_and_grads(*arrays)
        key = arrays[0].tobytes(), arrays[2].tobytes()
        buffers = self.grads.setdefault(key, [np.zeros_like(grad) for grad in grads])
        for buffer, grad in zip(buffers, grads, strict=True):
            buffer[...] = buffer + grad if self.accumulates else grad
        return loss, buffers


def test_returned_buffers_are_copied_at_once():
    assert check(Buffers(accumulates=False)).passed
    report = check(Buffers(accumulates=True))
    assert not report.passed
    assert "it adds to the sums of the first; start them at zero in each call" in str(report)


def test_a_candidate_that_remembers_earlier_calls_is_told_so():
    calls = []

    def candidate(*arrays):
        calls.append(1)
        loss, grads = loss_and_grads(*arrays)
        return loss, grads._replace(W1=grads.W1 * 2) if len(calls) == 80 else grads

    report = check(candidate)
    assert not report.passed
    assert [finding.name for finding in report.findings] == ["remembers earlier calls"]
    assert "right when the same case is run again" in str(report)


def test_a_candidate_that_is_wrong_only_after_many_calls_is_told_so_and_gets_no_factor():
    calls = []

    def candidate(*arrays):
        calls.append(1)
        loss, grads = loss_and_grads(*arrays)
        return loss, grads._replace(W1=grads.W1 * 2) if len(calls) > 40 else grads

    report = check(candidate, cases=60)
    (finding,) = report.findings
    assert finding.name == "remembers earlier calls"
    assert finding.text.startswith("right at first, wrong after some calls: [seed=0 ")


def test_a_memory_order_may_be_refused_but_not_answered_wrongly():
    def refusing(x, *rest):
        if not x.flags.c_contiguous:
            raise ValueError("C order, please")
        return loss_and_grads(x, *rest)

    def assuming(x, *rest):
        return loss_and_grads(x.ravel(order="K").reshape(x.shape), *rest)

    report = check(refusing)
    assert report.passed
    (note,) = report.notes
    assert note.startswith("refuses arguments in Fortran order: raised ValueError: C order, please")
    report = check(assuming)
    assert report.failure.case.order == "Fortran"
    assert "Fortran order]" in str(report)
    assert [(finding.kind, finding.name, set(finding.tensors)) for finding in report.findings] == [
        ("condition", "memory order", {name for name, line in report.failure.lines.items() if not line.passed})
    ]
    assert "right for contiguous arguments, wrong for the same in Fortran order" in str(report)


def test_no_memory_order_allows_to_write_to_an_argument():
    def writing(x, *rest):
        answer = loss_and_grads(x, *rest)
        x.T.reshape(-1)[:] = 0  # a copy, but for an array in Fortran order
        return answer

    report = check(writing, shapes=Shapes(batch=(2, 4), inputs=(2, 4)))
    assert report.failure.case.order == "Fortran"
    assert report.failure.breach.startswith("wrote to its argument inputs")


def test_views_with_gaps_are_named_and_a_case_that_is_refused_is_not_the_smallest_that_fails():
    """Right in Fortran order; of strided views, those of one row are refused, others answered wrongly."""

    def assuming(x, *rest):
        gaps = x.size > 1 and not (x.flags.c_contiguous or x.flags.f_contiguous)
        if gaps and len(x) < 3:
            raise ValueError("no gaps, please")
        return loss_and_grads(x[::-1] if gaps else x, *rest)

    report = check(assuming)
    assert report.failure.case.order == "strided"
    assert report.failure.breach is None
    assert [finding.name for finding in report.findings] == ["memory order"]
    assert "wrong for the same as strided views" in str(report)


def test_what_is_wrong_in_any_memory_order_is_explained_as_ever():
    """The case that fails first is right in C order; the smallest one, which is not among those drawn, is not."""

    def wrong(x, *rest):
        loss, grads = loss_and_grads(x, *rest)
        fails = not x.flags.c_contiguous or all(array.size == 1 for array in (x, *rest))
        return loss, grads._replace(B1=grads.B1 * 2) if fails else grads

    report = check(wrong, cases=8)
    assert report.failure.case.order != "C"
    assert report.failure.case.arguments["inputs"].size == 1
    assert "2 × autograd's" in report.findings[0].text
