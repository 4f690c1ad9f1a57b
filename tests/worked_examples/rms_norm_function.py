"""A torch.autograd.Function with a backward pass by hand, RMS norm, against the one that torch brings.

gradgate rms_norm_function.py:RMSNorm --reference rms_norm_function.py:make_reference
"""

import torch
from torch import nn

from torch_ref import Operator

TIME, WIDTH = 3, 6
EPSILON = 1e-6


class RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, gain):
        scale = torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + EPSILON)  # (batch, time, 1)
        ctx.save_for_backward(x, gain, scale)
        return x * scale * gain  # (batch, time, width)

    @staticmethod
    def backward(ctx, upstream):
        x, gain, scale = ctx.saved_tensors
        normal = x * scale  # (batch, time, width)
        dgain = (upstream * normal).sum(dim=(0, 1))  # (width,)
        dnormal = upstream * gain  # (batch, time, width)
        along_scale = normal * (dnormal * normal).mean(dim=-1, keepdim=True)  # (batch, time, width)
        dx = scale * (dnormal - along_scale)  # (batch, time, width)
        return dx, dgain


def draw(rng, batch):
    return {"x": rng.standard_normal((batch, TIME, WIDTH))}


def make_reference():
    return Operator(nn.RMSNorm(WIDTH, eps=EPSILON), draw)
