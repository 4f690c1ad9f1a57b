"""Any module as the reference: parameters of any shape."""

import torch
from torch import nn
from torch.nn import functional as F

from tests.planted import draw_rows
from torch_ref import Reference, assert_matches_autograd


def test_a_scalar_parameter_keeps_its_shape():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(1.0))

        def forward(self, x):
            return x[:, :2] * self.scale

    def candidate(x, t, scale):
        assert scale.shape == ()
        y = x[:, :2] * scale
        return ((y - t) ** 2).mean(), [(2 * (y - t) / y.size * x[:, :2]).sum()]

    assert_matches_autograd(candidate, reference=Reference(Scaled(), F.mse_loss, draw_rows), cases=20)
