"""A reference that can't serve is told why, in one line."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.planted import draw_rows, linear
from torch_ref import Reference, check


def reference_of(model=None, loss=F.mse_loss, draw=draw_rows, **options):
    return lambda: Reference(model or nn.Linear(3, 2), loss, draw, **options)


def draw_at_random(_, batch):
    return draw_rows(np.random.default_rng(), batch)


class Unused(nn.Linear):
    def forward(self, x):
        return F.linear(x, self.weight)


UNUSABLE = {
    "dropout": (reference_of(nn.Sequential(nn.Linear(3, 2), nn.Dropout())), "another one each time: is dropout act"),
    "no parameters": (reference_of(nn.ReLU()), "the model has no parameters, expected at least one"),
    "no module": (reference_of(lambda x: x), "model is a function, expected an nn.Module"),
    "unused": (reference_of(Unused(3, 2)), "the loss does not depend on bias; leave it out of the model"),
    "no loss": (reference_of(loss=lambda *_: torch.zeros(())), "the loss does not depend on any parameter"),
    "not scalar": (reference_of(loss=nn.MSELoss(reduction="none")), r"the loss is of shape \(7, 2\), expected a"),
    "a float": (reference_of(loss=lambda *_: 0.5), "the loss is a float, expected a scalar tensor"),
    "infinite": (reference_of(loss=lambda y, _: y.sum() * torch.inf), "loss is not finite, expected finite numbers"),
    "NaN gradient": (reference_of(loss=lambda y, _: (0 * y).sum().sqrt()), "dL/dweight is not finite"),
    "complex": (reference_of(nn.Linear(3, 2, dtype=torch.cfloat)), "weight is complex64, expected bfloat16 o"),
    "on no device": (reference_of(nn.Linear(3, 2, device="meta")), "weight is on meta, expected cpu"),
    "frozen": (reference_of(nn.Linear(3, 2).requires_grad_(requires_grad=False)), "weight does not require a gradient"),
    "raises": (reference_of(nn.Linear(4, 2)), r"raised RuntimeError: mat1 and mat2 .*\[seed=0 batch=7 float64\]"),
    "draws one": (reference_of(draw=lambda rng, n: rng.random((n, 3))), r"draw returned a ndarray, expected \(inp"),
    "draws NaN": (reference_of(draw=lambda _, n: (np.full((n, 3), np.nan), 0)), "inputs with nan, expected finite"),
    "draws complex": (reference_of(draw=lambda _, n: (np.ones((n, 3), "D"), 0)), "inputs of dtype complex128, exp"),
    "draws words": (reference_of(draw=lambda _, n: (np.ones((n, 3)), ["a"])), "targets of dtype <U1, expected"),
    "draw raises": (reference_of(draw=lambda _: 0), "draw raised TypeError: .* takes 1 positional argument but 2"),
    "draws at random": (reference_of(draw=draw_at_random), "draw gives another batch"),
    "lazy": (reference_of(nn.LazyLinear(2)), "weight has no shape yet, expected one; call the model once"),
    "broadcast": (reference_of(draw=lambda r, n: (r.random((n, 3)), r.random((n, 1)))), "Using a target size"),
    "batch norm": (reference_of(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)), batch=(1, 1)), "Say batch="),
    "no batch": (reference_of(batch=(0, 4)), "batch: from 0 to 4, expected sizes of 1 or more"),
    "one batch": (reference_of(batch=4), r"batch: 4, expected the smallest and the largest, as in \(1, 8\)"),
}  # fmt: skip  # one a line


@pytest.mark.parametrize(("make", "message"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_reference_that_cannot_serve_is_told_why(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        check(linear, reference=make())
    assert "\n" not in str(caught.value)


def test_a_model_that_is_random_in_the_dtype_of_the_check_is_refused():
    class Trembling(nn.Linear):
        def forward(self, x):
            return super().forward(x + torch.rand(()) if x.dtype == torch.float32 else x)

    reference = Reference(Trembling(3, 2), F.mse_loss, draw_rows)
    with pytest.raises(ValueError, match="is another one each time"):
        check(linear, reference=reference, cases=1, dtype="float32")
