"""match, differ, zero, untested: what may be said of each tensor, and what no case proves."""

import numpy as np
import pytest
from torch import nn
from torch.nn import functional as F

from tests.planted import draw_rows
from torch_ref import Reference, assert_matches_autograd, check
from torch_ref.judging import own_noise
from torch_ref.precision import FLOAT64
from torch_ref.results import Line
from torch_ref.settings import Settings
from torch_ref.tally import Tally


def of_two_columns(loss):
    """A Linear whose loss may not depend on its parameters, and a candidate that returns these gradients."""
    return Reference(nn.Linear(3, 2), loss, draw_rows)


def test_what_is_hardly_tested_is_noted():
    """In two cases of three the true gradient is 0, and one of zeros would pass."""

    def candidate(x, t, W, b):
        on = x.dtype.type(t[0, 0] > 0.5)
        return (on * (x @ W.T + b)).sum(), (on * np.ones((2, 1), x.dtype) * x.sum(0), on * len(x) * np.ones_like(b))

    report = check(candidate, reference=of_two_columns(lambda y, t: (y * (t[0, 0] > 0.5)).sum()), cases=60)
    assert report.passed, str(report)
    assert any(note.startswith("is hardly tested for dL/dweight: in ") for note in report.notes)


def test_a_gradient_that_is_rounding_alone_is_zero_and_right():
    """A bias before batch norm: autograd's own is 1e-17 or so, and a candidate's 0 is right."""
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))

    def candidate(x, t, W, b, scale, shift):
        G = x @ W.T + b
        centered = G - G.mean(0)
        deviation = np.sqrt((centered**2).mean(0) + x.dtype.type(1e-5))
        N = centered / deviation
        dy = 2 * (scale * N + shift - t) / t.size
        dN = dy * scale
        dG = (dN - dN.mean(0) - N * (dN * N).mean(0)) / deviation
        loss = ((scale * N + shift - t) ** 2).mean()
        return loss, (dG.T @ x, 0 * b, (dy * N).sum(0), dy.sum(0))

    for dtype in "float64", "float32":
        report = check(
            candidate, reference=Reference(model, F.mse_loss, draw_rows, batch=(2, 16)), cases=30, dtype=dtype
        )
        assert report.passed, str(report)
        assert report.ordinary.status("0.bias") == "zero"
        assert report.ordinary.status("0.weight") == "match"
        assert "dL/d0.bias: autograd's own is 0, or rounding alone, in every case" in str(report)


def test_a_reference_whose_every_gradient_is_zero_proves_nothing_and_fails():
    reference = of_two_columns(lambda y, t: (0 * y).sum() + (t * t).mean())
    report = check(lambda _, t, W, b: ((t * t).mean(), (0 * W, 0 * b)), reference=reference, cases=5)
    measured = own_noise(reference, Settings())
    assert measured["loss"] > measured["weight"] == measured["bias"] == 0
    assert not report.passed
    assert report.failure is None
    assert report.ordinary.untested == ["dL/dweight", "dL/dbias"]
    assert "is not tested for dL/dweight" in str(report)
    with pytest.raises(AssertionError, match="a gradient that no case tests"):
        assert_matches_autograd(lambda _, t, W, b: ((t * t).mean(), (0 * W, 0 * b)), reference=reference, cases=5)


def test_the_typical_and_the_largest_error_are_of_cases_that_prove_something():
    """In units of u max|g|: of the wrong cases, if there are any, the largest; a vacuous case says nothing."""
    u = FLOAT64.unit_roundoff

    def largest_of(*of):
        lines = [Line("dL/dW", FLOAT64, max_g, error=error * u, allowed=limit * u) for error, limit, max_g in of]
        tally = Tally(lines[0])
        for line in lines:
            tally.add(line)
        return tally.typical, tally.largest.units, tally.largest.limit

    passing = (1, 8, 1), (3, 8, 1), (500, 900, 1)
    vacuous = (9, 1 / u, 1), (0, 1e-250, 0)
    assert largest_of(*passing, *vacuous) == (3, 500, 900)
    assert largest_of(*passing, (20, 8, 1), (30, 16, 2)) == (15, 20, 8)
    assert largest_of(*passing, (20, 8, 1), (1, 1e-250, 0)) == (11.5, 20, 8)  # of 0, no number of roundings
    assert largest_of(*vacuous[:1]) == (9, 9, 1 / u)


def test_what_no_case_proves_anything_of_is_untested_unless_it_is_zero():
    """A line may be ten times what is allowed, 1/10 of it, or less than its own noise."""
    proved, vacuous, zero = (
        Line("dL/dW", FLOAT64, largest=1.0, error=0.0, allowed=a, noise=a / 8) for a in (0.1, 1.2, 9)
    )
    for lines, status in (
        ((proved, vacuous), "match"),
        ((vacuous, vacuous), "untested"),
        ((vacuous, zero), "untested"),
        ((zero, zero), "zero"),
    ):
        tally = Tally(lines[0])
        for line in lines:
            tally.add(line)
        assert tally.status == status
