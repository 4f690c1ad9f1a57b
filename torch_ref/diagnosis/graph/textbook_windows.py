"""The backward pass of pooling and of its inverse as a textbook has it, where windows tile the input."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torch_ref.diagnosis.graph.roles import called


def max_pool(
    g: Tensor,
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    _dilation: Sequence[int],
    _ceil: bool,  # noqa: FBT001  # as torch has it
    indices: Tensor,
) -> Tensor:
    """Where windows do not overlap, and tile the input."""
    (height, width), (n, m) = kernel, g.shape[2:]
    if list(stride or kernel) != list(kernel) or any(padding) or x.shape[2:] != (n * height, m * width):
        return NotImplemented  # type: ignore[no-any-return]
    places = torch.arange(n * height * m * width).reshape(n, height, m, width)
    with called("the mask of the largest", "(1 at the largest)"):
        largest = (places == indices[:, :, :, None, :, None]).to(g.dtype)
    return (g[:, :, :, None, :, None] * largest).reshape(x.shape)


def average_pool(
    g: Tensor,
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    *_options: Any,
) -> Tensor:
    """Each element of a window gets the same share."""
    (height, width), (n, m) = kernel, g.shape[-2:]
    if list(stride or kernel) != list(kernel) or any(padding) or x.shape[-2:] != (n * height, m * width):
        return NotImplemented  # type: ignore[no-any-return]
    shares = g[..., :, None, :, None].expand(*g.shape[:-2], n, height, m, width)
    return (shares / (height * width)).reshape(x.shape)


def upsample(g: Tensor, _size: Sequence[int], shape: Sequence[int], *_scales: Any) -> Tensor:
    """The copies of each element, added up."""
    (height, width), (n, m) = g.shape[-2:], shape[-2:]
    if height % n or width % m:
        return NotImplemented  # type: ignore[no-any-return]
    return g.reshape(*shape[:-2], n, height // n, m, width // m).sum((-3, -1))
