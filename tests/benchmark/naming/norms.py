"""Layer, batch, group and RMS norm, each as an operator by itself."""

import numpy as np
import torch
from torch import nn

from tests.benchmark.naming.kind import Kind
from torch_ref import Operator

EPS = 1e-5
WIDTH, CHANNELS, GROUPS = 6, 6, 2


class RMSNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPS) * self.weight


def standardized(x, axes, m):
    mean = x.mean(axes, keepdims=True)
    count = np.prod([x.shape[axis] for axis in axes])
    var = ((x - mean) ** 2).sum(axes, keepdims=True) / (count - (m == "n - 1"))
    eps = 1e-3 if m == "another epsilon" else EPS
    sigma = np.sqrt(var) + eps if m == "epsilon outside the root" else np.sqrt(var + eps)
    return (x - mean) / sigma, sigma


def back(dN, N, sigma, axes, m):
    """The gradient to what is standardized."""
    from_mean = 0 if m == "no mean term" else dN.mean(axes, keepdims=True)
    from_variance = 0 if m == "no variance term" else N * (dN * N).mean(axes, keepdims=True)
    if m == "sums for means":
        from_mean, from_variance = dN.sum(axes, keepdims=True), N * (dN * N).sum(axes, keepdims=True)
    if m == "sign of the variance term":
        from_variance = -from_variance
    if m == "variance term without the input":
        from_variance = (dN * N).mean(axes, keepdims=True)
    return (dN - from_mean - from_variance) / (
        1 if m == "not divided by sigma" else sigma**2 if m == "divided by the variance" else sigma
    )


def layer_norm(g, x, w, b, m):
    N, sigma = standardized(x, (-1,), m)
    dN = g if m == "gamma missing" else g * w
    axes = (0, 1)
    dw = (g * (x if m == "x for the standardized" else N)).sum(axes)
    db = g.mean(axes) if m == "mean for the bias" else g.sum(axes)
    return N * w + b, (back(dN, N, sigma, (0,) if m == "means over the batch" else (-1,), m), dw, db)


def batch_norm(g, x, w, b, m):
    axes = (0, 2)
    N, sigma = standardized(x, axes, m)
    W, B = w[:, None], b[:, None]
    dN = g if m == "gamma missing" else g * W
    dw = (g * N).sum(0).sum(1) if m != "the first sample only" else (g * N)[0].sum(1)
    dx = (
        dN / sigma
        if m == "statistics as constants"
        else back(dN, N, sigma, (0,) if m == "means over the batch alone" else axes, m)
    )
    return N * W + B, (dx, dw, g.sum(axes))


def group_norm(g, x, w, b, m):
    grouped = lambda t: t.reshape(len(x), GROUPS, -1)  # noqa: E731
    N, sigma = standardized(grouped(x), (2,), m)
    dN = grouped(g if m == "gamma missing" else g * w[:, None])
    axes = (1, 2) if m == "means over all groups" else (2,)
    dx = back(dN, N, sigma, axes, m).reshape(x.shape)
    N = N.reshape(x.shape)
    return N * w[:, None] + b[:, None], (
        dx,
        (g * N).sum((0, 2)),
        (g * x).sum((0, 2)) if m == "x in the bias" else g.sum((0, 2)),
    )


def rms_norm(g, x, w, m):
    eps = 1e-3 if m == "another epsilon" else EPS
    r = 1 / np.sqrt((x**2).mean(-1, keepdims=True) + eps)
    N, dN = x * r, g if m == "gamma missing" else g * w
    mean = {"sum for mean": np.sum}.get(m, np.mean)
    through = N * mean(dN * (x if m == "x for the normalized" else N), -1, keepdims=True)
    through = {"no term from the root": 0 * through, "sign of the term": -through, "half the term": through / 2}.get(
        m, through
    )
    dw = (g * (x if m == "x in the weight" else N)).sum((0, 1))
    return N * w, ((dN - through) * (1 if m == "factor r missing" else r), dw)


def draw(shape):
    return lambda rng, batch: {"x": 2 * rng.standard_normal((batch, *shape)) + 0.5}


KINDS = (
    Kind(
        "layer norm",
        Operator(nn.LayerNorm(WIDTH), draw((4, WIDTH)), batch=(2, 16)),
        layer_norm,
        {
            "n - 1": "the variance divides by n - 1, not by n",
            "another epsilon": "0.001 stands in place of 1e-05",
            "epsilon outside the root": "the constant 1e-05 is added after the root, not under it",
            "no mean term": "the term that comes from the mean is missing",
            "no variance term": "the term that comes from the variance is missing",
            "sums for means": "a sum stands where the mean belongs",
            "sign of the variance term": "the sign of the term that comes from the variance is the wrong way round",
            "not divided by sigma": "the factor 1/σ is missing",
            "divided by the variance": "1/σ is applied twice",
            "gamma missing": "the factor `weight` is missing",
            "x for the standardized": "`x` is used in place of x̂",
            "means over the batch": "the mean is taken over axis 0, not axis 2",
        },
    ),
    Kind(
        "batch norm",
        Operator(nn.BatchNorm1d(CHANNELS), draw((CHANNELS, 5)), batch=(2, 16)),
        batch_norm,
        {
            "n - 1": "the variance divides by n - 1, not by n",
            "statistics as constants": "the term that comes from the mean and the term that comes from the variance are missing",
            "no mean term": "the term that comes from the mean is missing",
            "no variance term": "the term that comes from the variance is missing",
            "gamma missing": "the factor `weight` is missing",
            "means over the batch alone": "the mean is taken over axis 0, not axes 0, 2",
            "not divided by sigma": "the factor 1/σ is missing",
            "the first sample only": "only the first along axis 0 counts, not the sum over all",
        },
    ),
    Kind(
        "group norm",
        Operator(nn.GroupNorm(GROUPS, CHANNELS), draw((CHANNELS, 4)), batch=(2, 16)),
        group_norm,
        {
            "no mean term": "the term that comes from the mean is missing",
            "no variance term": "the term that comes from the variance is missing",
            "gamma missing": "the factor `weight` is missing",
            "means over all groups": "the mean is taken over axes 1, 2, not axis 2",
            "x in the bias": "`upstream` · `x` is summed, not `upstream`",
            "variance term without the input": "the factor x̂ is missing",
        },
    ),
    Kind(
        "RMS norm",
        Operator(RMSNorm(), draw((4, WIDTH)), batch=(2, 16)),
        rms_norm,
        {
            "another epsilon": "0.001 stands in place of 1e-05",
            "no term from the root": "the gradient back through `x.pow(2)` is cut: zero",
            "sign of the term": "the sign of g ·",
            "half the term": "the derivative of the power is computed as x",
            "sum for mean": "the division by 6 is missing",
            "x for the normalized": "the exponent is 2, not 3",
            "x in the weight": "the factor 1/√(`x.pow(2).mean(-1, keepdim=True) + EPS`) is missing",
            "factor r missing": "∂/∂x lacks the factor 1/√(`x.pow(2).mean(-1, keepdim=True) + EPS`)",
            "gamma missing": "the factor `weight` is missing",
        },
    ),
)
