"""What a candidate is given of a case: copies, in an order of memory."""

from math import prod

import numpy as np
import pytest

from torch_ref.cases.case import ORDERS, Case
from torch_ref.precision import FLOAT64

SHAPES = [(), (3,), (1, 3), (3, 1), (2, 3), (2, 3, 4), (2, 1, 3, 2), (0, 3), (3, 0)]


def copied(array, order):
    case = Case(0, {}, {"x": array}, (), FLOAT64, order=order)
    return case.copies()["x"]


@pytest.mark.parametrize("order", ["C", *ORDERS])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_copy_is_equal_and_its_own(shape, order):
    array = np.arange(1.0, prod(shape) + 1).reshape(shape)
    copy = copied(array, order)
    assert copy.shape == array.shape
    assert copy.dtype == array.dtype
    assert np.array_equal(copy, array)
    assert not np.shares_memory(copy, array)


def test_no_axis_of_a_strided_view_goes_on_where_another_ends():
    """Who takes an array for contiguous, or all but one of its axes for one, reads what is in the gaps."""
    copy = copied(np.ones((3, 4, 5)), "strided")
    for axis, (size, stride) in enumerate(zip(copy.shape, copy.strides, strict=True)):
        inside = [s for other, s in enumerate(copy.strides) if other != axis]
        assert size * stride not in inside
        assert stride > copy.itemsize


def test_a_strided_view_takes_little_more_than_twice_the_memory():
    """It is the largest thing that a check holds, beside what the candidate does."""
    array = np.ones((20, 30, 40))
    assert copied(array, "strided").base.nbytes < 2.3 * array.nbytes
