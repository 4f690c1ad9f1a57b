"""Ten operators, each as torch has it, and written out operator by operator; with the sizes to compare them on."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

LONG = 4096  # terms of a sum, in one case of 25; one of eight has a length of 1


class Kind(NamedTuple):
    """An operator: torch's own function, the same by its parts, and what draws its arguments for a length."""

    own: Callable[..., Tensor]
    parts: Callable[..., Tensor]
    draw: Callable


def length_of(seed, usual=16):
    """Of the longest sum."""
    if seed % 25 == 5:
        return LONG
    return 1 if seed % 8 == 1 else 2 + seed * 7 % usual


def softmax(x):
    e = torch.exp(x - x.detach().amax(-1, keepdim=True))
    return e / e.sum(-1, keepdim=True)


def layer_norm(x, w, b):
    d = x - x.mean(-1, keepdim=True)
    return d * torch.rsqrt((d * d).mean(-1, keepdim=True) + 1e-5) * w + b


def rms_norm(x, w):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6) * w


def masked(scores):
    """Of as many queries as there are, the last of so many keys: none sees a later key."""
    queries, keys = scores.shape[-2:]
    seen = torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)
    return scores.masked_fill(~seen, -math.inf)


def attention(q, k, v, softmax=lambda scores: scores.softmax(-1)):
    return softmax(masked(q @ k.mT / math.sqrt(q.shape[-1]))) @ v


def cross_entropy(z, labels):
    z = z - z.detach().amax(-1, keepdim=True)
    return (torch.log(torch.exp(z).sum(-1)) - z.gather(-1, labels[:, None])[:, 0]).mean()


def unfolded(x, w):
    columns = F.unfold(x, w.shape[2:], padding=1)  # (batch, in · 9, height · width)
    return (w.flatten(1) @ columns).unflatten(-1, x.shape[2:])


def gelu(x):
    return x * (1 + torch.erf(x * math.sqrt(0.5))) / 2


def swiglu(x, gate, up, down, silu=F.silu):
    return (silu(x @ gate) * (x @ up)) @ down


def draw_attention(rng, n):
    queries = min(n, 8)
    return {"q": rng.standard_normal((2, queries, 16)), **{m: rng.standard_normal((2, n, 16)) for m in "kv"}}


def draw_swiglu(rng, n):
    into = [rng.standard_normal((8, n)) / 8**0.5 for _ in range(2)]
    return dict(
        zip(
            ("x", "gate", "up", "down"),
            (rng.standard_normal((4, 8)), *into, rng.standard_normal((n, 8)) / n**0.5),
            strict=True,
        )
    )


def draw_rows(rng, n, *more):
    return {"x": rng.standard_normal((4, n)), **{name: rng.standard_normal(n) for name in more}}


KINDS = {
    "matmul": Kind(
        torch.matmul, torch.matmul,
        lambda rng, n: {"x": rng.standard_normal((4, n)), "w": rng.standard_normal((n, 8)) / n**0.5},
    ),
    "softmax": Kind(lambda x: F.softmax(x, -1), softmax, draw_rows),
    "layer norm": Kind(  # of rows that are not all but equal: by its parts it then leaves the range of float16
        lambda x, w, b: F.layer_norm(x, w.shape, w, b), layer_norm, lambda rng, n: draw_rows(rng, max(n, 8), "w", "b")
    ),
    "RMS norm": Kind(lambda x, w: F.rms_norm(x, w.shape, w, 1e-6), rms_norm, lambda rng, n: draw_rows(rng, n, "w")),
    "causal attention": Kind(attention, lambda *qkv: attention(*qkv, softmax), draw_attention),
    "SwiGLU": Kind(swiglu, lambda *arrays: swiglu(*arrays, lambda x: x * torch.sigmoid(x)), draw_swiglu),
    "GELU": Kind(F.gelu, gelu, lambda rng, n: {"x": 2 * rng.standard_normal(n)}),
    "cross-entropy": Kind(
        F.cross_entropy, cross_entropy,
        lambda rng, n: {"z": 3 * rng.standard_normal((4, max(n, 2))), "labels": rng.integers(0, max(n, 2), 4)},
    ),
    "convolution": Kind(
        lambda x, w: F.conv2d(x, w, padding=1), unfolded,
        lambda rng, n: {
            "x": rng.standard_normal((2, -(-n // 9), 5, 5)),
            "w": rng.standard_normal((4, -(-n // 9), 3, 3)) / (9 * -(-n // 9)) ** 0.5,
        },
    ),
    "embedding": Kind(
        F.embedding, lambda tokens, w: w[tokens],
        lambda rng, n: {"tokens": rng.integers(0, 7, n), "w": rng.standard_normal((7, 8))},
    ),
}  # fmt: skip  # an operator at a glance
