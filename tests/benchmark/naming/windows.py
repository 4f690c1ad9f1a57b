"""Windows that overlap or reach into the padding, a dilation, axes read in another order: pooling and its like."""

import numpy as np
from torch.nn import functional as F

from tests.benchmark.naming.kind import Kind
from torch_ref import Operator

SIZE, STEP, PAD = 3, 2, 1


def average_pool(g, x, m):
    """In one dimension; the padding counts."""
    out, dx = np.zeros_like(g), np.zeros_like(x)
    for i in range(g.shape[2]):
        low, high = max(i * STEP - PAD, 0), min(i * STEP - PAD + SIZE, x.shape[2])
        out[:, :, i] = x[:, :, low:high].sum(2) / SIZE
        share = g[:, :, i : i + 1] / (high - low if m == "padding not counted" else SIZE)
        dx[:, :, low:high] = share + (0 if m == "overlaps overwritten" else dx[:, :, low:high])
    return out, (dx,)


def adaptive(g, x, m):
    out, dx = np.zeros_like(g), np.zeros_like(x)
    bins, size = g.shape[2], x.shape[2]
    for i in range(bins):
        low, high = i * size // bins, -(-(i + 1) * size // bins)
        out[:, :, i] = x[:, :, low:high].mean(2)
        high = (i + 1) * size // bins if m == "ends rounded down" else high
        share = g[:, :, i : i + 1] / (size / bins if m == "one size for all" else high - low)
        dx[:, :, low:high] = share + (0 if m == "overlaps overwritten" else dx[:, :, low:high])
    return out, (dx,)


def max_pool(g, x, m):
    out, dx = np.zeros_like(g), np.zeros_like(x)
    samples, channels = np.indices(x.shape[:2])
    for i in range(g.shape[2]):
        window = x[:, :, i * STEP : i * STEP + SIZE]
        at = (samples, channels, i * STEP + window.argmax(2))
        out[:, :, i] = window.max(2)
        if m == "to every element":
            dx[:, :, i * STEP : i * STEP + SIZE] += g[:, :, i : i + 1]
        else:
            dx[at] = g[:, :, i] + (0 if m == "overlaps overwritten" else dx[at])
    return out, (dx,)


def dilated(g, x, w, m):
    """A convolution of dilation 2, without a bias."""
    out, dx, dw = np.zeros_like(g), np.zeros_like(x), np.zeros_like(w)
    for t in range(g.shape[2]):
        for j in range(w.shape[2]):
            at = t + 2 * j
            out[:, :, t] += x[:, :, at] @ w[:, :, j].T
            dw[:, :, j] += g[:, :, t].T @ x[:, :, at]
            dx[:, :, t + j if m == "dilation forgotten" else at] += g[:, :, t] @ w[:, :, j]
    return out, (dx, dw)


def upsampled(g, x, m):
    """Each element 2 × 2 times."""
    n, height, width = x.shape
    if m == "read as blocks":
        dx = g.reshape(n, 2, height, 2, width).sum((1, 3))
    else:
        dx = g.reshape(n, height, 2, width, 2).sum((2, 4))
    return x.repeat(2, 1).repeat(2, 2), (dx,)


def instance_norm(g, x, m):
    N = (x - x.mean(2, keepdims=True)) / np.sqrt(x.var(2, keepdims=True) + 1e-5)
    axes = (0, 2) if m == "means over the batch too" else (2,)
    through = g - g.mean(axes, keepdims=True) - N * (g * N).mean(axes, keepdims=True)
    return N, (through / np.sqrt(x.var(2, keepdims=True) + 1e-5),)


def draw(**shapes):
    def drawn(rng, batch):
        return {name: rng.standard_normal([size or batch for size in shape]) for name, shape in shapes.items()}

    return drawn


OVERWRITTEN = "where windows overlap, the last one overwrites the others; add up what they give"
KINDS = (
    Kind(
        "average pooling, padded",
        Operator(lambda x: F.avg_pool1d(x, SIZE, STEP, PAD), draw(x=(0, 2, 9))),
        average_pool,
        {
            "padding not counted": "is divided by the number of its elements without the padding",
            "overlaps overwritten": OVERWRITTEN,
        },
    ),
    Kind(
        "adaptive pooling",
        Operator(lambda x: F.adaptive_avg_pool1d(x, 4), draw(x=(0, 2, 9))),
        adaptive,
        {
            "ends rounded down": "where windows overlap, each ends where the next begins",
            "one size for all": "4/3 × autograd's",
            "overlaps overwritten": OVERWRITTEN,
        },
    ),
    Kind(
        "max pooling, overlapping",
        Operator(lambda x: F.max_pool1d(x, SIZE, STEP), draw(x=(0, 2, 9))),
        max_pool,
        {
            "to every element": "every element of a window gets the gradient, not the largest alone",
            "overlaps overwritten": OVERWRITTEN,
        },
    ),
    Kind(
        "dilated convolution",
        Operator(lambda x, w: F.conv1d(x, w, dilation=2), draw(x=(0, 2, 9), w=(3, 2, 3))),
        dilated,
        {"dilation forgotten": "the dilation is not taken into account"},
    ),
    Kind(
        "upsampling",
        Operator(lambda x: F.interpolate(x[:, None], scale_factor=2)[:, 0], draw(x=(0, 3, 2))),
        upsampled,
        {"read as blocks": "is split in another order"},
    ),
    Kind(
        "instance norm",
        Operator(F.instance_norm, draw(x=(0, 3, 5))),
        instance_norm,
        {"means over the batch too": "the mean is taken over the batch too"},
    ),
)
