"""The loss and all four gradients of the hand-written network, or of --candidate, match autograd."""

import inspect
from functools import cache

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.comparing import case_of, compared
from torch_ref import Shapes, TwoLayers
from torch_ref.precision import PRECISIONS
from torch_ref.two_layers.cases import TwoLayerCases

SHAPES = Shapes(batch=(1, 32), inputs=(1, 6), hidden=(1, 9), outputs=(1, 4))
TENSORS = "loss", "W1", "B1", "W2", "B2"


ONE_OUTPUT = Shapes(batch=(1, 32), inputs=(1, 6), hidden=(1, 9))  # all that a foreign candidate has to know


@pytest.fixture
def only_built_in(is_built_in):
    if not is_built_in:
        pytest.skip("only numpy_impl promises torch's own formula where a sigmoid saturates")


def assert_matches(candidate, case, reduction, tensors=TENSORS):
    reference = TwoLayers(reduction=reduction)
    comparison = compared(candidate, case, reference)
    assert comparison.breach is None, str(comparison)
    assert all(comparison.lines[tensor].passed for tensor in tensors), str(comparison)


def search(cases, kind, dtype, demand):
    """Demand it of every case that Hypothesis draws, and of the explicit ones."""
    saturated = kind == "saturated"
    demanded = given(case=cases.strategy(PRECISIONS[dtype], saturated=saturated))(lambda case: demand(case))  # noqa: PLW0108  # a new one each time
    for sizes, data in cases.explicit():
        options = {"saturated": True} if saturated else {"kind": data}
        demanded = example(cases.draw(*sizes, seed=0, precision=PRECISIONS[dtype], **options))(demanded)
    demanded()


@cache
def mismatches(candidate, shapes, kind, dtype, reduction):
    """One search for all tensors: of those that do not match in some case, the first such comparison."""
    reference, found = TwoLayers(reduction=reduction), {}

    def look(case):
        comparison = compared(candidate, case, reference)
        for tensor in TENSORS:
            if comparison.breach is not None or not comparison.lines[tensor].passed:
                found.setdefault(tensor, str(comparison))

    search(TwoLayerCases(shapes), kind, dtype, look)
    return found


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", ["ordinary", "saturated"])
@pytest.mark.parametrize("tensor", TENSORS)
def test_matches_autograd(candidate, is_built_in, tensor, kind, dtype, reduction):
    if not is_built_in and kind == "saturated":
        pytest.skip("only numpy_impl promises torch's own formula where a sigmoid saturates")
    if reduction == "sum" and "reduction" not in inspect.signature(candidate).parameters:
        pytest.skip("the candidate has no reduction parameter: the mean is what it promises")
    shapes = SHAPES if is_built_in else ONE_OUTPUT
    found = mismatches(candidate, shapes, kind, dtype, reduction)
    if tensor in found:  # Hypothesis shows the smallest case
        search(TwoLayerCases(shapes), kind, dtype, lambda case: assert_matches(candidate, case, reduction, [tensor]))
    assert tensor not in found, found[tensor]


@st.composite
def adversarial(draw, dtype):
    """Arrays whose every element Hypothesis chooses: up to ±1e3, zeros of both signs, subnormals."""
    batch, width, hidden, out = (draw(st.integers(1, 4)) for _ in range(4))
    bits = np.dtype(dtype).itemsize * 8
    values = st.floats(-1e3, 1e3, width=bits)
    probabilities = st.sampled_from([0.0, 1.0]) | st.floats(0, 1, width=bits)

    def array(shape, elements=values):
        return draw(arrays(dtype, shape, elements=elements, fill=st.nothing()))

    inputs, targets = array((batch, width)), array((batch, out), probabilities)
    shapes = (hidden, width), (hidden, 1), (out, hidden), (out, 1)
    return case_of(inputs, targets, *map(array, shapes), saturated=True)  # torch's own formula is what must match


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.usefixtures("only_built_in")
def test_matches_autograd_on_adversarial_values(candidate, dtype, reduction):
    @given(case=adversarial(dtype))
    def matches(case):
        assert_matches(candidate, case, reduction)

    matches()


@pytest.mark.usefixtures("only_built_in")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@given(g1=st.floats(-1e3, 1e3, width=32), g2=st.floats(-1e3, 1e3, width=32), target=st.sampled_from([0.0, 0.25, 1.0]))
@example(g1=0.0, g2=-60.0, target=0.0)  # float32: S2² · 1e12 is subnormal
@example(g1=0.0, g2=-380.0, target=0.0)  # float64: likewise
@example(g1=-88.5, g2=0.0, target=1.0)  # float32: S1 is subnormal
@example(g1=-709.5, g2=0.0, target=1.0)  # float64: likewise
@example(g1=0.0, g2=-27.631021, target=0.0)  # S2 (1 - S2) crosses the 1e-12 that torch divides by at least
@example(g1=37.0, g2=37.0, target=0.0)  # both sigmoids round to 1
def test_matches_autograd_wherever_a_sigmoid_saturates(candidate, dtype, g1, g2, target):
    """One sample, with both pre-activations put anywhere."""
    one, zero = np.ones((1, 1), dtype), np.zeros((1, 1), dtype)
    B1, B2 = one * dtype_value(dtype, g1), one * dtype_value(dtype, g2)
    t = one * dtype_value(dtype, target)
    case = case_of(one, t, zero, B1, zero + 1, B2, saturated=True)  # torch's own formula is what must match
    assert_matches(candidate, case, "mean")


def dtype_value(dtype, value):
    return np.dtype(dtype).type(value)
