"""One link of a chain skipped, one value for another, one constant in one term, two changes at one operator."""

import numpy as np
import torch
from torch.nn import functional as F

from tests.benchmark.naming.kind import Kind
from tests.benchmark.naming.windows import draw
from torch_ref import Operator

ANGLES = np.outer(np.arange(4), [1.0, 0.1, 0.01])
COS, SIN = np.cos(ANGLES), np.sin(ANGLES)
EPS = 0.01


def rotation(q, k):
    cos, sin = torch.tensor(COS).to(q), torch.tensor(SIN).to(q)

    def turned(x):
        a, b = x[..., :3], x[..., 3:]
        return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)

    return turned(q) @ turned(k).mT


def rotated(g, q, k, m):
    def turned(x, sign=1):
        a, b = x[..., :3], x[..., 3:]
        return np.concatenate([a * COS - sign * b * SIN, sign * a * SIN + b * COS], -1)

    d_turned_k = g.swapaxes(1, 2) @ turned(q)
    dk = d_turned_k if m == "not turned back" else turned(d_turned_k, -1)
    return turned(q) @ turned(k).swapaxes(1, 2), (turned(g @ turned(k), -1), dk)


def cosine(g, a, b, m):
    A, B = (np.sqrt((x * x).sum(1, keepdims=True)) for x in (a, b))
    cos = (a * b).sum(1, keepdims=True) / (A * B)
    other = A if m == "the other's norm" else B
    return cos[:, 0], (g[:, None] * (b / (A * B) - cos * a / A**2), g[:, None] * (a / (A * B) - cos * b / other**2))


def batch_norm(g, x, m):
    centered, var = x - x.mean(0), x.var(0)
    root = np.sqrt(var + EPS)
    d_var = (g * centered).sum(0) * -0.5 * (var + (0 if m == "no epsilon in one term" else EPS)) ** -1.5
    return centered / root, (g / root - g.mean(0) / root + 2 * d_var * centered / len(x),)


def softmax(g, x, m):
    e = np.exp(x - x.max(1, keepdims=True))
    y = e / e.sum(1, keepdims=True)
    inner = g.mean(1, keepdims=True) if m == "plain mean in the Jacobian" else (g * y).sum(1, keepdims=True)
    return y, (y * (g - inner),)


def leaky(g, x, m):
    below = {"another slope": 0.35, "no slope": 0.0}.get(m, 0.2)
    return np.where(x > 0, x, 0.2 * x), (g * np.where(x > 0, 1, below),)


def masked_mean(table, ids):
    keep = (ids != 0).to(table)
    return (table[ids] * keep[:, :, None]).sum(1) / keep.sum(1, keepdim=True)


def bag(g, table, ids, m):
    keep = (ids != 0).astype(table.dtype)
    count = keep.sum(1, keepdims=True)
    d_table = np.zeros_like(table)
    share = g / (ids.shape[1] if m == "padding counted" else count)
    np.add.at(d_table, ids, share[:, None] * keep[:, :, None])
    return (table[ids] * keep[:, :, None]).sum(1) / count, (d_table,)


def draw_ids(rng, batch):
    ids = rng.integers(0, 6, (batch, 5))
    ids[:, 0] = rng.integers(1, 6, batch)
    return {"table": rng.standard_normal((6, 4)), "ids": ids}


KINDS = (
    Kind(
        "rotary positions",
        Operator(rotation, draw(q=(0, 4, 6), k=(0, 4, 6))),
        rotated,
        {
            "not turned back": "∂/∂k is the gradient back through the transpose as it is: the backward pass of the product and of the difference and of the slice is skipped"
        },
    ),
    Kind(
        "cosine",
        Operator(
            lambda a, b: (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1)),
            draw(a=(0, 5), b=(0, 5)),
        ),
        cosine,
        {"the other's norm": "is off by the factor (‖`b`‖ / ‖`a`‖)²"},
    ),
    Kind(
        "batch norm, bare",
        Operator(lambda x: F.batch_norm(x, None, None, training=True, eps=EPS), draw(x=(0, 4)), batch=(2, 16)),
        batch_norm,
        {"no epsilon in one term": "in the term that comes from the variance alone, 0 stands in place of 0.01"},
    ),
    Kind(
        "softmax by itself",
        Operator(lambda x: torch.softmax(x, 1), draw(x=(0, 5))),
        softmax,
        {"plain mean in the Jacobian": "And a mean stands where the sum belongs"},
    ),
    Kind(
        "leaky ReLU",
        Operator(lambda x: F.leaky_relu(x, 0.2), draw(x=(0, 5))),
        leaky,
        {
            "another slope": "0.35 stands in place of 0.2",
            "no slope": "0 stands in place of `upstream` · 0.2 where `x` ≤ 0",
        },
    ),
    Kind(
        "mean of tokens",
        Operator(masked_mean, draw_ids),
        bag,
        {"padding counted": "divided by the number of all elements of `keep` along axis 1, not by Σ (`ids` ≠ 0)"},
    ),
)
