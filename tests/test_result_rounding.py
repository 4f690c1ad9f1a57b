"""Results rounded to a coarse format: which numbers come out of a replay, and which arguments a case is given."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torch_ref.cases.formats import in_format
from torch_ref.precision import BFLOAT16, FLOAT16, PRECISIONS
from torch_ref.result_rounding import NearestRounding, ResultRounding, ResultsNudged
from torch_ref.two_layers.cases import TwoLayerCases

FORMATS = pytest.mark.parametrize("precision", [BFLOAT16, FLOAT16], ids=str)
NUMBERS = st.lists(st.floats(-6e4, 6e4), min_size=1, max_size=20)


def replayed(mode, numbers):
    """What an operator that changes nothing gives."""
    tensor = torch.tensor([*numbers, 0.3], dtype=torch.float64)  # so that they are not all integers
    with mode:
        return (tensor * 1)[:-1]


@FORMATS
@given(NUMBERS, st.integers(0, 15))
def test_a_result_becomes_one_of_the_two_numbers_beside_it(precision, numbers, seed):
    rounded = replayed(ResultRounding(precision, seed), numbers)
    wanted = torch.tensor(numbers, dtype=torch.float64)
    assert torch.equal(rounded.to(getattr(torch, precision.name)).double(), rounded)
    spacing = torch.clamp(2 * precision.unit_roundoff * wanted.abs(), min=precision.spacing)
    assert bool(((rounded - wanted).abs() < spacing).all())


@FORMATS
@pytest.mark.parametrize("number", [0.3, -1.7, 1e-7, 300.1])
def test_on_average_it_is_right(precision, number):
    rounded = replayed(ResultRounding(precision, 1), [number] * 40_000)
    spacing = max(2 * precision.unit_roundoff * abs(number), precision.spacing)
    assert abs(float(rounded.mean()) - number) < 5 * spacing / 2 / 40_000**0.5
    assert len(rounded.unique()) == 2


@FORMATS
@pytest.mark.parametrize("seed", range(4))
def test_what_a_mask_is_made_of_stays_and_what_is_beyond_the_format_leaves_it(precision, seed):
    ends = [-torch.inf, torch.inf, torch.finfo(torch.float64).min]
    for mode in (ResultRounding(precision, seed), ResultsNudged(precision, seed, 8), NearestRounding(precision)):
        assert replayed(mode, ends).tolist()[:2] == ends[:2]
        assert not replayed(mode, ends).isnan().any()
    assert replayed(ResultRounding(precision, seed), ends).tolist() == ends
    assert replayed(ResultRounding(precision, seed), [-1e39, 1e39]).tolist() == ends[:2]


@FORMATS
def test_integers_stay_what_they_are(precision):
    positions = torch.arange(4097, dtype=torch.float64)
    with ResultRounding(precision, 0):
        assert torch.equal(positions + 1, torch.arange(1, 4098, dtype=torch.float64))


@FORMATS
def test_two_opposite_nudges_cancel(precision):
    numbers = torch.linspace(-3, 3, 100, dtype=torch.float64).tolist()
    up, down = (replayed(ResultsNudged(precision, 3, units), numbers) for units in (8, -8))
    wanted = torch.tensor(numbers, dtype=torch.float64)
    torch.testing.assert_close(up + down, 2 * wanted)
    assert bool((up.abs() <= 1)[wanted.abs() <= 1].all())
    assert float((up - wanted).abs().max()) == pytest.approx(24 * precision.unit_roundoff)


@FORMATS
@given(NUMBERS)
def test_arguments_are_the_nearest_numbers_within_the_normal_range(precision, numbers):
    found = in_format(numbers, precision)
    assert found.dtype.name == precision.array
    for number, one in zip(numbers, found.tolist(), strict=True):
        nearest = float(torch.tensor(number, dtype=torch.float64).to(getattr(torch, precision.name)))
        size = abs(number)
        wanted = nearest if size >= precision.smallest_normal else np.copysign(precision.smallest_normal, number)
        assert one == (wanted if number else 0)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@given(st.integers(0, 2**32 - 1), st.sampled_from(TwoLayerCases.kinds), st.booleans())
def test_the_cases_of_two_layers_are_within_it(dtype, seed, kind, saturated):
    case = TwoLayerCases().draw(9, 3, 4, 2, seed=seed, precision=PRECISIONS[dtype], kind=kind, saturated=saturated)
    for array in case.arguments.values():
        np.testing.assert_array_equal(array, in_format(array, case.precision))
