"""A formula that loses digits is told from a mistake that is as small."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from torch_ref import Operator, check

SMALL = Operator(torch.expm1, lambda rng, batch: {"x": 1e-5 * rng.standard_normal((batch, 3))})
WIDE = Operator(F.softplus, lambda rng, batch: {"x": 10 * rng.standard_normal((batch, 1))})
LOG = Operator(torch.log, lambda rng, batch: {"x": 1 + rng.random((batch, 3))})


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("reference", "candidate"),
    [
        (SMALL, lambda g, x: (np.exp(x) - 1, (g * np.exp(x),))),
        (WIDE, lambda g, x: (np.log(1 + np.exp(x)), (g / (1 + np.exp(-x)),))),
    ],
)
def test_a_formula_that_loses_digits_is_said_to(reference, candidate, dtype):
    report = check(candidate, reference=reference, dtype=dtype)
    (finding,) = report.findings
    assert (finding.kind, finding.name, finding.tensors) == ("precision", "loses digits", ("out",))
    assert "what is wrong is rounding, digits are lost; write the formula so that it keeps them" in finding.text


@pytest.mark.parametrize("small", [1e-10, 1e-12])
def test_a_small_mistake_is_not_said_to_lose_digits(small):
    report = check(lambda g, x: (np.log(x + small), (g / x,)), reference=LOG, cases=5)
    assert not report.passed
    assert not any("digits" in finding.text for finding in report.findings)
