"""Causal attention in bfloat16, a torch.autograd.Function that computes in float32 inside and rounds once.

gradgate causal_attention.py:CausalAttention --reference causal_attention.py:make_reference --dtype bfloat16
"""

import math

import torch

from torch_ref import Operator

TIME, WIDTH = 6, 8


class CausalAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, Q, K, V):
        q, k, v = Q.float(), K.float(), V.float()  # (batch, time, width) each
        scores = q @ k.mT / math.sqrt(WIDTH)  # (batch, time, time)
        later = torch.ones(TIME, TIME, dtype=torch.bool).triu(1)  # (time, time)
        P = torch.softmax(scores.masked_fill(later, -math.inf), dim=-1)  # (batch, time, time)
        Y = P @ v  # (batch, time, width)
        ctx.save_for_backward(q, k, v, P, Y)
        return Y.to(Q.dtype)

    @staticmethod
    def backward(ctx, upstream):
        q, k, v, P, Y = ctx.saved_tensors
        dY = upstream.float()  # (batch, time, width)
        dv = P.mT @ dY  # (batch, time, width)
        dP = dY @ v.mT  # (batch, time, time)
        along_sum = (dY * Y).sum(dim=-1, keepdim=True)  # (batch, time, 1): the sum over each row of P dP
        dscores = P * (dP - along_sum) / math.sqrt(WIDTH)  # (batch, time, time)
        dq, dk = dscores @ k, dscores.mT @ q  # (batch, time, width) each
        return tuple(gradient.to(upstream.dtype) for gradient in (dq, dk, dv))


def causal_attention(Q, K, V):
    later = torch.ones(TIME, TIME, dtype=torch.bool).triu(1)
    scores = Q @ K.mT / math.sqrt(WIDTH)
    return torch.softmax(scores.masked_fill(later, -math.inf), dim=-1) @ V


def draw(rng, batch):
    return {name: rng.standard_normal((batch, TIME, WIDTH)) for name in ("Q", "K", "V")}


def make_reference():
    return Operator(causal_attention, draw)
