"""Pooling, and what takes an upsampling back, as a textbook has it: windows, of which each element has its share."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from torch_ref.diagnosis.graph.roles import called, noted

Bins: TypeAlias = tuple[tuple[int, int], ...]  # along an axis, the begin and the end of each window


def max_pool(
    g: Tensor,
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    _ceil: bool,  # noqa: FBT001  # as torch has it
    indices: Tensor,
) -> Tensor:
    """Of each window the largest gets all. Where windows tile the input, each has its own elements."""
    (height, width), (n, m) = _pair(kernel), g.shape[-2:]
    tiles = _pair(stride or kernel) == (height, width) and not any(padding)
    if not tiles or x.shape[-2:] != (n * height, m * width):
        if set(dilation) != {1}:
            return NotImplemented  # type: ignore[no-any-return]
        return _of_windows(g, x, _bins(g, kernel, stride, padding), indices)
    places = torch.arange(n * height * m * width).reshape(n, height, m, width)
    first = torch.zeros(1, height, 1, width)
    first[0, 0, 0, 0] = 1
    with called("the mask of the largest", "(1 at the largest)"), noted(first=first):
        largest = (places == indices[..., :, None, :, None]).to(g.dtype)
    with noted(tiles=True):
        return (g[..., :, None, :, None] * largest).reshape(x.shape)


def _of_windows(g: Tensor, x: Tensor, bins: Sequence[Bins], indices: Tensor) -> Tensor:
    """What each window gives to its elements, added up."""
    places = torch.arange(x.shape[-2] * x.shape[-1]).reshape(x.shape[-2:])
    inside = [_inside(some, size).to(g) for some, size in zip(bins, x.shape[-2:], strict=True)]
    with called("the elements of each window", "(1 in the window)"):
        within = inside[0][:, None, :, None] * inside[1][:, None, :]  # n, m, height, width
    first = within.flatten(2).cumsum(2).cumsum(2).reshape(within.shape) == 1
    with called("the mask of the largest", "(1 at the largest)"), noted(first=first):
        largest = (places == indices[..., None, None]).to(g.dtype)
    terms = g[..., None, None] * (within * largest)
    with noted(windows=True):
        return terms.sum((-4, -3))


def _bins(g: Tensor, kernel: Any, stride: Any, padding: Any) -> list[Bins]:
    """The windows along each of the two axes; they may reach into the padding."""
    sides = zip(_pair(kernel), _pair(stride or kernel), _pair(padding), g.shape[-2:], strict=True)
    return [tuple((i * step - pad, i * step - pad + size) for i in range(count)) for size, step, pad, count in sides]


def _adaptive_bins(g: Tensor, x: Tensor) -> list[Bins]:
    """Windows of nearly the same size, that overlap where the sizes do not divide each other."""
    return [
        tuple((i * size // count, -(-(i + 1) * size // count)) for i in range(count))
        for size, count in zip(x.shape[-2:], g.shape[-2:], strict=True)
    ]


def adaptive_max_pool(g: Tensor, x: Tensor, indices: Tensor) -> Tensor:
    """Of each window the largest gets all."""
    return _of_windows(g, x, _adaptive_bins(g, x), indices)


def average_pool(
    g: Tensor,
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil: bool,  # noqa: FBT001  # as torch has it
    padding_counts: bool,  # noqa: FBT001  # likewise
    divisor: int | None,
) -> Tensor:
    """Each element of a window gets the same share, as does the padding if it counts."""
    if ceil or divisor:
        return NotImplemented  # type: ignore[no-any-return]
    return _shared(g, x, _bins(g, kernel, stride, padding), padding_counts=padding_counts)


def adaptive_average_pool(g: Tensor, x: Tensor) -> Tensor:
    """Each element of a window gets the same share."""
    return _shared(g, x, _adaptive_bins(g, x), padding_counts=False)


def _shared(g: Tensor, x: Tensor, bins: Sequence[Bins], *, padding_counts: bool) -> Tensor:
    sizes = x.shape[-2:]
    within = [[(max(low, 0), min(high, size)) for low, high in of] for of, size in zip(bins, sizes, strict=True)]
    whole, own = ([_length(a) * _length(b) for a in of[0] for b in of[1]] for of in (bins, within))
    right = whole if padding_counts else own
    equal = [x.shape[-2] * x.shape[-1] / len(own)] * len(own)
    others = {"own": own, "whole": whole, "equal": equal}
    with called("the number of elements of each window", "(number of elements)"):
        count = torch.tensor(right, dtype=g.dtype).reshape(g.shape[-2:])
    with noted(divisors={name: other for name, other in others.items() if other != right}):
        shares = g / count
    inside = [_inside(some, size).to(g) for some, size in zip(within, sizes, strict=True)]
    with called("the elements of each window", "(1 in the window)"):
        within_both = inside[0][:, :, None, None] * inside[1]  # n, height, m, width
    terms = shares[..., :, None, :, None] * within_both
    with noted(windows=True, bins=(tuple(within[0]), tuple(within[1]))):
        return terms.sum((-4, -2))


def _length(window: tuple[int, int]) -> int:
    return window[1] - window[0]


def _inside(windows: Sequence[tuple[int, int]], size: int) -> Tensor:
    """Of each window, 1 for the elements within."""
    return torch.tensor([[low <= i < high for i in range(size)] for low, high in windows])


def _pair(sides: Any) -> tuple[int, int]:
    """The two sides, where one is given for both."""
    both = [sides] if isinstance(sides, int) else list(sides)
    return both[0], both[-1]


def upsample(g: Tensor, _size: Sequence[int], shape: Sequence[int], *_scales: Any) -> Tensor:
    """The copies of each element, added up."""
    (height, width), (n, m) = g.shape[-2:], shape[-2:]
    if height % n or width % m:
        return NotImplemented  # type: ignore[no-any-return]
    return g.reshape(*shape[:-2], n, height // n, m, width // m).sum((-3, -1))
