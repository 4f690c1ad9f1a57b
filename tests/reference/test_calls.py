"""The cases of an operator: what is special about an upstream gradient goes red at the defaults."""

import numpy as np
import pytest

from torch_ref import Operator, check
from torch_ref.reference.calls import SPARSE

REFERENCE = Operator(
    lambda x, w: x @ w, lambda rng, batch: {"x": rng.standard_normal((batch, 4)), "w": rng.standard_normal((4, 3))}
)


def with_gradients(change):
    def candidate(upstream, x, w):
        return x @ w, tuple(change(upstream, gradient) for gradient in (upstream @ w.T, x.T @ upstream))

    return candidate


WRONG = {
    "clipped at 5": with_gradients(lambda _, g: g.clip(-5, 5)),
    "clipped at 100": with_gradients(lambda _, g: g.clip(-100, 100)),
    "a quotient by it": with_gradients(lambda upstream, g: g * (upstream / upstream).mean()),
    "nothing where it is small": with_gradients(lambda upstream, g: g * (np.abs(upstream).max() > 0.01)),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("candidate", WRONG.values(), ids=WRONG)
@pytest.mark.usefixtures("verdicts_alone")
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_it_goes_red_at_the_defaults(candidate, dtype):
    assert not check(candidate, reference=REFERENCE, dtype=dtype).passed


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_what_is_right_stays_green(dtype):
    report = check(with_gradients(lambda _, g: g), reference=REFERENCE, dtype=dtype)
    assert report.passed, str(report)


def test_a_sparse_upstream_gradient_is_0_in_half_and_as_it_was_in_the_rest():
    batch = 500
    upstream = REFERENCE.cases.draw(batch, seed=0, kind=SPARSE).arguments["upstream"]
    kept = upstream[upstream != 0]
    assert abs(kept.size / upstream.size - 0.5) < 0.05
    assert abs(kept.std() - 1) < 0.1
