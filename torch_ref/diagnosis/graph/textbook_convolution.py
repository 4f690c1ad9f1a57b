"""The backward pass of a convolution as a textbook has it: padding, patches, products and sums."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torch_ref.diagnosis.graph.roles import Gradients, called, noted

aten: Any = torch.ops.aten


def convolution_backward(
    g: Tensor,
    x: Tensor,
    w: Tensor,
    _bias: Sequence[int] | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,  # noqa: FBT001  # as torch has it
    output_padding: Sequence[int],
    groups: int,
    _mask: Sequence[bool],
) -> Gradients:
    """In 1 or 2 dimensions, in terms of padding, patches, products and sums."""
    if any(output_padding) or g.dim() not in (3, 4):
        return NotImplemented  # type: ignore[no-any-return]
    if g.dim() == 3:  # as 2 dimensions, the first of size 1
        wide = [t.unsqueeze(2) for t in (g, x, w)]
        options: Any = [[one, *of] for one, of in ((1, stride), (0, padding), (1, dilation))]
        flat: Any = convolution_backward(  # type: ignore[call-arg]  # counted wrongly
            wide[0], wide[1], wide[2], None, *options, transposed, [0, *output_padding], groups, _mask
        )
        return NotImplemented if flat is NotImplemented else (flat[0].squeeze(2), flat[1].squeeze(2), flat[2])
    big, small = (g, x) if transposed else (x, g)
    patches = _patches(big, small, w, (stride, padding, dilation), groups)  # batch, group, in, i, j, k, l
    per_group = small.reshape(len(small), groups, -1, 1, *small.shape[2:], 1, 1)
    with called("the gradient to the kernel", "Σ g · patches"):
        dw = (per_group * patches[:, :, None]).sum((0, 4, 5)).reshape(w.shape)
    W = w.reshape(groups, -1, *w.shape[1:])  # group, out, in, k, l
    if transposed:
        dx = (patches[:, :, None] * W[None, :, :, :, None, None]).sum((3, 6, 7)).reshape(x.shape)
    else:
        dx = _full(g, x, W, (stride, padding, dilation))
    return dx, dw, g.sum((0, 2, 3))


def _patches(big: Tensor, small: Tensor, w: Tensor, options: Sequence[Sequence[int]], groups: int) -> Tensor:
    stride, (high, wide), dilation = options
    n, m = small.shape[2:]
    padded = aten.constant_pad_nd(big, [wide, wide, high, high], 0.0)
    unfolded = _unfolded(padded, w.shape[2:], stride, dilation)
    return unfolded.reshape(len(big), groups, -1, *unfolded.shape[2:])[:, :, :, :n, :m]


def _unfolded(x: Tensor, taps: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Tensor:
    """The windows along the last two axes, as two axes more; of a dilated one, each so many elements."""
    for axis in 0, 1:
        x = x.unfold(axis + 2, (taps[axis] - 1) * dilation[axis] + 1, stride[axis])
    if list(dilation) != [1, 1]:
        with noted(dilated=True):
            x = x[..., :: dilation[0], :: dilation[1]]
    return x


def _full(g: Tensor, x: Tensor, W: Tensor, options: Sequence[Sequence[int]]) -> Tensor:
    """The gradient to the input: the gradient spread by the stride, padded, times the flipped kernel."""
    stride, padding, dilation = options
    groups, (n, m) = len(W), g.shape[2:]
    K, L = ((taps - 1) * d + 1 for taps, d in zip(W.shape[3:], dilation, strict=True))  # of a window
    H, V = x.shape[2] + 2 * padding[0], x.shape[3] + 2 * padding[1]
    spread = aten.slice_scatter(g.new_zeros(*g.shape[:2], H - K + 1, m), g, 2, 0, n * stride[0], stride[0])
    spread = aten.slice_scatter(g.new_zeros(*g.shape[:2], H - K + 1, V - L + 1), spread, 3, 0, m * stride[1], stride[1])
    padded = aten.constant_pad_nd(spread, [L - 1, L - 1, K - 1, K - 1], 0.0)
    unfolded = _unfolded(padded, W.shape[3:], (1, 1), dilation)
    per_group = unfolded.reshape(len(g), groups, -1, 1, *unfolded.shape[2:])  # batch, group, out, 1, i, j, k, l
    with called("the flipped kernel", "the flipped kernel"):
        flipped = W.flip(3, 4)
    terms = per_group * flipped[None, :, :, :, None, None]
    with noted(strides=tuple(stride), dilation=tuple(dilation)):
        full = terms.sum((2, 6, 7))
    whole: Tensor = full.reshape(len(x), -1, H, V)
    return whole.narrow(2, padding[0], x.shape[2]).narrow(3, padding[1], x.shape[3])
