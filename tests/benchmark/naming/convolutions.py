"""Convolutions: plain, depthwise and transposed, with a stride; max and average pooling."""

import numpy as np
from torch import nn

from tests.benchmark.naming.kind import Kind
from torch_ref import Operator


def patches(x, k, stride):
    """(batch, channels, out, k) of an input (batch, channels, length)."""
    windows = np.lib.stride_tricks.sliding_window_view(x, k, axis=2)
    return windows[:, :, ::stride]


def spread(dP, length, stride):
    """What `patches` takes apart put together again, added up where windows overlap."""
    dx = np.zeros((*dP.shape[:2], length))
    for i in range(dP.shape[2]):
        dx[:, :, i * stride : i * stride + dP.shape[3]] += dP[:, :, i]
    return dx


def spread_over(dP, length, stride):
    dx = np.zeros((*dP.shape[:2], length))
    for i in range(dP.shape[2]):
        dx[:, :, i * stride : i * stride + dP.shape[3]] = dP[:, :, i]
    return dx


def convolution(g, x, w, b, m):
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1)))
    P = patches(padded, 3, 2)  # batch, in, out length, k
    out = np.einsum("bilk,oik->bol", P, w) + b[:, None]
    dw = np.einsum("bol,bilk->oik", g, P)
    if m == "kernel flipped in its gradient":
        dw = dw[..., ::-1]
    kernel = w[..., ::-1] if m == "kernel not flipped" else w
    dP = np.einsum("bol,oik->bilk", g, kernel)
    put = spread_over if m == "overlaps overwritten" else spread
    dx = put(dP, padded.shape[2], 1 if m == "stride ignored" else 2)
    dx = dx[..., :-2] if m == "padding cut on one side" else dx[..., 1:-1]
    db = {
        "bias over the batch alone": g.sum(0)[:, 0],
        "bias of the first place": g[:, :, 0].sum(0),
        "bias averaged": g.mean((0, 2)),
    }
    return out, (dx, dw, db.get(m, g.sum((0, 2))))


def depthwise(g, x, w, b, m):
    P = patches(x, 3, 1)
    out = np.einsum("bclk,ck->bcl", P, w[:, 0]) + b[:, None]
    dw = np.einsum("bcl,bclk->ck", g, P)
    if m == "kernel flipped in its gradient":
        dw = dw[:, ::-1]
    if m == "channels exchanged":
        dw = dw[::-1]
    if m == "the last tap left at zero":
        dw[:, -1] = 0
    kernel = w[:, 0, ::-1] if m == "kernel not flipped" else w[:, 0]
    if m == "one kernel for all channels":
        kernel = np.broadcast_to(kernel.sum(0), kernel.shape)
    dP = np.einsum("bcl,ck->bclk", g, kernel)
    if m == "the middle tap only":
        dP[..., [0, 2]] = 0
    return out, (
        spread(dP, x.shape[2], 1),
        dw[:, None],
        g.sum(0).sum(1) if m != "bias over places alone" else g[0].sum(1),
    )


def transposed(g, x, w, b, m):
    """w: (in, out, k), stride 2, no padding."""
    length = (x.shape[2] - 1) * 2 + 3
    out = spread(np.einsum("bil,iok->bolk", x, w), length, 2) + b[:, None]
    P = patches(g, 3, 2)  # batch, out, length, k
    if m == "stride ignored":
        P = patches(g, 3, 1)[:, :, : x.shape[2]]
    kernel = w[..., ::-1] if m == "kernel flipped" else w
    dx = np.einsum("bolk,iok->bil", P, kernel)
    dw = np.einsum("bil,bolk->iok", x, P)
    if m == "kernel flipped in its gradient":
        dw = dw[..., ::-1]
    if m == "input and output exchanged":
        dw = dw.swapaxes(0, 1)
    if m == "one tap too late":
        dx = np.einsum("bolk,iok->bil", np.roll(P, 1, 3), w)
    return out, (dx, dw, g.sum((0, 1)).sum() * np.ones_like(b) if m == "bias over all channels" else g.sum((0, 2)))


def max_pool(g, x, m):
    W = x.reshape(*x.shape[:2], -1, 2, x.shape[3] // 2, 2)
    out = W.max((3, 5))
    mask = out[:, :, :, None, :, None] == W
    if m == "to every element":
        mask = np.ones_like(mask)
    if m == "to the first of a window":
        mask = np.zeros_like(mask)
        mask[:, :, :, 0, :, 0] = True
    scale = {"averaged": 0.25}.get(m, 1)
    dx = (g[:, :, :, None, :, None] * mask * scale).reshape(x.shape)
    if m == "rows and columns exchanged":
        dx = dx.swapaxes(2, 3)
    return out, (dx,)


def average_pool(g, x, m):
    out = x.reshape(*x.shape[:2], -1, 2, x.shape[3] // 2, 2).mean((3, 5))
    dx = np.repeat(np.repeat(g, 2, 2), 2, 3) / {"not divided": 1, "divided by one side": 2}.get(m, 4)
    if m == "to the first of a window":
        dx[:, :, 1::2] = 0
        dx[:, :, :, 1::2] = 0
    return out, (dx,)


def draw(*shape):
    return lambda rng, batch: {"x": rng.standard_normal((batch, *shape))}


KINDS = (
    Kind(
        "convolution",
        Operator(nn.Conv1d(2, 4, 3, stride=2, padding=1), draw(2, 9)),
        convolution,
        {
            "kernel flipped in its gradient": "the right numbers, but backwards along axis 2",
            "kernel not flipped": "`weight` is not flipped",
            "overlaps overwritten": "where windows overlap, the last one overwrites the others; add up what they give",
            "stride ignored": "the stride is not taken into account",
            "padding cut on one side": "of what is padded, the part that is kept along axis -1 begins 1 too early",
            "bias of the first place": "only the first along axis -1 counts, not the sum over all",
            "bias averaged": "1/(5 batch) × autograd's",
        },
    ),
    Kind(
        "depthwise convolution",
        Operator(nn.Conv1d(4, 4, 3, groups=4), draw(4, 7)),
        depthwise,
        {
            "kernel flipped in its gradient": "the right numbers, but backwards along axis 2",
            "channels exchanged": "the right numbers, but backwards along axis 0",
            "the last tap left at zero": "of ∂/∂weight, the last along axis -1 is zero",
            "kernel not flipped": "`weight` is not flipped",
            "one kernel for all channels": "the flipped kernel is summed over axis 0 too: one number for all, where each has its own",
            "the middle tap only": "of the flipped kernel, element 2 of 3 along axis -1 is all there is",
            "bias over places alone": "only the first along axis 0 counts, not the sum over all",
        },
    ),
    Kind(
        "transposed convolution",
        Operator(nn.ConvTranspose1d(3, 3, 3, stride=2), draw(3, 5)),
        transposed,
        {
            "stride ignored": "the stride is not taken into account",
            "kernel flipped": "`weight` is flipped along axis -1",
            "kernel flipped in its gradient": "the right numbers, but backwards along axis 2",
            "input and output exchanged": "the right numbers, but transposed, its axes in the order",
            "one tap too late": "`weight` is shifted back by one along axis -1",
            "bias over all channels": "∂/∂bias is summed over axis 0 too: one number for all, where each has its own",
        },
    ),
    Kind(
        "max pooling",
        Operator(nn.MaxPool2d(2), draw(2, 4, 4)),
        max_pool,
        {
            "to every element": "every element of a window gets the gradient, not the largest alone",
            "to the first of a window": "the first element of each window gets the gradient, not the largest",
            "averaged": "1/4 × autograd's",
            "rows and columns exchanged": "the right numbers, but transposed, its axes in the order",
        },
    ),
    Kind(
        "average pooling",
        Operator(nn.AvgPool2d(2), draw(2, 4, 6)),
        average_pool,
        {
            "not divided": "4 × autograd's",
            "divided by one side": "2 × autograd's",
            "to the first of a window": "the first element of each window alone gets its share",
        },
    ),
)
