"""Windows that overlap and overwrite each other, where what they give belongs added up."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor
from torch.fx import Node

from torch_ref.diagnosis.graph.change import SIMPLE, Change
from torch_ref.diagnosis.graph.nodes import Values
from torch_ref.diagnosis.graph.trace import Trace


def windows(node: Node) -> Iterator[Change]:
    """Of a sum over the windows that reach an element, the last of them alone, or the first."""
    if strides := node.meta.get("custom", {}).get("strides"):
        for which in "last", "first":
            spacing = tuple(zip(strides, node.meta["custom"]["dilation"], strict=True))
            yield Change(SIMPLE, "windows overwritten", (which,), partial(_of_one, spacing, which))


def _of_one(spacing: tuple[tuple[int, int], ...], which: str, trace: Trace, values: Values, node: Node) -> Tensor:
    """terms: (batch, group, out, in, height, width, taps high, taps wide); the later a tap, the later its window."""
    terms = trace.arg(node, 0, values)
    for axis, (stride, dilation) in zip((4, 5), spacing, strict=True):
        size, taps = terms.shape[axis], terms.shape[axis + 2]
        reach = (taps - 1) * dilation
        begins = torch.arange(size)[:, None] - reach + dilation * torch.arange(taps)  # (size, taps): of the window
        there = (begins >= 0) & (begins <= size - reach - 1) & (begins % stride == 0)
        counted = there.cumsum(1) if which == "first" else there.flip(1).cumsum(1).flip(1)
        one = there & (counted == 1)
        terms = terms * one.reshape(*(n if a in (axis, axis + 2) else 1 for a, n in enumerate(terms.shape))).to(terms)
    return trace.call(node, values, [terms, *node.args[1:]])  # type: ignore[no-any-return]
