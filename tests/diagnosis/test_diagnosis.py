"""What comes with every diagnosis: nothing right is accused, and where there is a truth, who is nearer to it."""

import numpy as np
import pytest

from numpy_impl import loss_and_grads
from tests.comparing import MORE_OUTPUTS, ONE_OUTPUT, findings_of
from tests.planted import changed
from torch_ref import Operator, check


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_nothing_right_is_accused(dtype):
    for shapes in (ONE_OUTPUT, MORE_OUTPUTS):
        assert findings_of(loss_and_grads, shapes=shapes, dtype=dtype) == []
    assert check(loss_and_grads, cases=50, dtype=dtype).findings == []


def test_in_float32_it_says_who_is_nearer_the_float64_result():
    report = check(changed(W1=lambda g, _: g * np.float32(1.001)), cases=10, dtype="float32")
    (line,) = report.nearer
    assert {comparison.case.precision.name for comparison in report.evidence} == {"float32"}
    assert line.startswith("dL/dW1 against float64: yours is off by ")
    yours, autograd = (float(text.split()[-1]) for text in line.replace(", autograd", "").split(" by ")[1:])
    assert yours > 100 * autograd
    assert line in str(report)


def test_a_gradient_that_is_zero_by_nature_hides_no_mistake_that_some_cases_show():
    """Whatever b is, it is subtracted again: its gradient is rounding alone, and no case is well-conditioned."""

    def candidate(upstream, x, b):
        centered = x + b - (x + b).mean(1, keepdims=True)
        dx = upstream - upstream.mean(1, keepdims=True)
        return centered, ((2 if x.sum() > 0 else 1) * dx, dx.sum())

    shifted = Operator(
        lambda x, b: x + b - (x + b).mean(1, keepdim=True),
        lambda rng, batch: {"x": rng.standard_normal((batch, 4)), "b": rng.standard_normal()},
    )
    (finding,) = check(candidate, reference=shifted, cases=20).findings
    assert (finding.name, finding.tensors) == ("2", ("x",))
