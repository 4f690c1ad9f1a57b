"""The cases of the two-layer network: ordinary and saturated, hard targets and soft ones."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.comparing import draw, parameters_of
from torch_ref import Shapes
from torch_ref.precision import PRECISIONS
from torch_ref.two_layers.cases import TwoLayerCases

DTYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])


@DTYPES
@given(data=st.data())
def test_ordinary_and_saturated_cases_are_what_they_are_called(dtype, data):
    cases = TwoLayerCases(Shapes(batch=(1, 8), outputs=(1, 3)))
    for saturated in (False, True):
        case = data.draw(cases.strategy(PRECISIONS[dtype], saturated=saturated))
        with torch.no_grad():
            W1, B1, W2, B2 = (torch.from_numpy(array).double() for array in parameters_of(case).values())
            G1 = torch.from_numpy(case.arguments["inputs"]).double() @ W1.T + B1.T
            S1 = torch.sigmoid(G1)
            largest = (S1 @ W2.T + B2.T).abs().max().item()
        if saturated:
            assert largest > {"float32": 17, "float64": 28}[dtype]
        else:
            assert largest <= 12
            assert G1.abs().max() <= 40
        assert case.saturated == saturated
        assert {array.dtype for array in case.arguments.values()} == {np.dtype(dtype)}
        assert ((case.arguments["targets"] >= 0) & (case.arguments["targets"] <= 1)).all()


def test_half_of_the_cases_have_hard_targets():
    hard = [np.isin(draw(9, 2, 2, 1, seed=seed).arguments["targets"], [0, 1]).all() for seed in range(400)]
    assert 140 < sum(hard) < 260  # six standard deviations


def test_a_large_network_has_no_weights_that_stand_for_others():
    """They come again, but no row or column does, nor any block of 32, 64 or 128."""
    W1 = draw(2, 512, 64, 1, seed=0).arguments["W1"]
    for rows in W1, W1.T, W1.reshape(-1, 128), W1.reshape(-1, 64), W1.reshape(-1, 32):
        assert len(np.unique(rows, axis=0)) == len(rows)
    assert abs(np.corrcoef(W1[:32].ravel(), W1[32:].ravel())[0, 1]) < 0.05
