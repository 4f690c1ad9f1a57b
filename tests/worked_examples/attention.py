"""Scaled dot-product self-attention with one head, mean squared error on its outputs."""

import math

import numpy as np
import torch
from torch import nn

from torch_ref import Reference

TIME, WIDTH, HEAD = 4, 5, 3


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(WIDTH, HEAD, bias=False) for _ in range(3))

    def forward(self, X):
        Q, K, V = self.query(X), self.key(X), self.value(X)
        return torch.softmax(Q @ K.mT / math.sqrt(HEAD), dim=-1) @ V


def draw(rng, batch):
    return rng.standard_normal((batch, TIME, WIDTH)), rng.standard_normal((batch, TIME, HEAD))


def make_reference():
    return Reference(Attention(), nn.functional.mse_loss, draw)


def loss_and_grads(X, T, Wq, Wk, Wv):
    Q, K, V = X @ Wq.T, X @ Wk.T, X @ Wv.T  # (batch, time, head) each
    scores = Q @ K.swapaxes(1, 2) / X.dtype.type(math.sqrt(HEAD))  # (batch, time, time)
    P = np.exp(scores - scores.max(axis=2, keepdims=True))  # (batch, time, time)
    P /= P.sum(axis=2, keepdims=True)
    Y = P @ V  # (batch, time, head)
    loss = ((Y - T) ** 2).mean()

    dL_dY = 2 * (Y - T) / Y.size  # (batch, time, head)
    dL_dV = P.swapaxes(1, 2) @ dL_dY  # (batch, time, head)
    dL_dP = dL_dY @ V.swapaxes(1, 2)  # (batch, time, time)
    dL_dscores = P * (dL_dP - (P * dL_dP).sum(axis=2, keepdims=True))  # (batch, time, time)
    dL_dscores /= X.dtype.type(math.sqrt(HEAD))
    dL_dQ = dL_dscores @ K  # (batch, time, head)
    dL_dK = dL_dscores.swapaxes(1, 2) @ Q  # (batch, time, head)
    return loss, tuple(np.einsum("bth,btw->hw", dL_dproj, X) for dL_dproj in (dL_dQ, dL_dK, dL_dV))  # (head, width)
