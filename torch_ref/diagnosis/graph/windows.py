"""Windows of a convolution or of pooling: that overwrite each other, that end elsewhere, that are counted otherwise."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from torch_ref.diagnosis.graph.change import CONSTANTS, SIMPLE, Change
from torch_ref.diagnosis.graph.nodes import Values, is_real, target_of
from torch_ref.diagnosis.graph.trace import Trace

aten: Any = torch.ops.aten


def windows(trace: Trace, node: Node) -> Iterator[Change]:
    """Every change of a sum over the windows that reach an element, and of the number that each divides by."""
    noted: dict[str, Any] = node.meta.get("custom", {})
    if strides := noted.get("strides"):
        spacing = tuple(zip(strides, noted["dilation"], strict=True))
        for which in "last", "first":
            yield Change(SIMPLE, "windows overwritten", (which,), partial(_of_one, spacing, which))
        if any(dilation > 1 for dilation in noted["dilation"]):
            yield Change(SIMPLE, "dilation ignored", (), partial(_close, noted["dilation"]))
    if noted.get("dilated") and not any(_is_dilated(user) for user in node.users):
        for is_centered in (False, True):
            yield Change(SIMPLE, "dilation ignored", (), partial(_side_by_side, is_centered))
    yield from _of_tiles(node) if noted.get("tiles") else ()
    if noted.get("windows"):
        for which in "last", "first":
            yield Change(SIMPLE, "windows overwritten", (which,), partial(_of_one_pool, which))
    if "first" in noted and is_real(trace.values[trace.position[node]]):
        yield Change(SIMPLE, "first of each", (), partial(_first, noted["first"]))
    for cut in ("end", "begin", "first", "last", "first alone", "last alone") if "bins" in noted else ():
        yield Change(CONSTANTS, "windows cut", (cut,), partial(_cut, noted["bins"], cut))
    yield from (
        Change(CONSTANTS, "another count", (what,), partial(_divided, counts))
        for what, counts in noted.get("divisors", {}).items()
    )


def _of_tiles(node: Node) -> Iterator[Change]:
    """Where windows tile the input, and the largest of each gets all."""
    if node.target is aten.mul.Tensor:
        yield Change(SIMPLE, "shared", (), _shared)
    elif target_of(node) is torch.reshape:
        yield Change(SIMPLE, "windows in a row", (), _in_a_row)


def _shared(trace: Trace, values: Values, node: Node) -> Tensor:
    """g: (..., windows, 1, windows, 1), the mask: (..., windows, height, windows, width); each gets the same share."""
    g, mask = (trace.arg(node, j, values) for j in (0, 1))
    return g.expand(mask.shape) / (mask.shape[-3] * mask.shape[-1])  # type: ignore[no-any-return]


def _in_a_row(trace: Trace, values: Values, node: Node) -> Tensor:
    """One window after another, where rows of several windows belong."""
    terms = trace.arg(node, 0, values)
    return terms.transpose(-3, -2).reshape(values[trace.position[node]].shape)  # type: ignore[no-any-return]


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


def _close(dilation: Sequence[int], trace: Trace, values: Values, node: Node) -> Tensor:
    """The taps side by side: each moved to where it would be without dilation. The later a tap here, the smaller."""
    terms = trace.arg(node, 0, values)
    for axis, apart in zip((4, 5), dilation, strict=True):
        taps = terms.unbind(axis + 2)
        moved = [
            torch.roll(tap, -k * (apart - 1), axis) for k, tap in zip(reversed(range(len(taps))), taps, strict=True)
        ]
        terms = torch.stack(moved, axis + 2)
    return trace.call(node, values, [terms, *node.args[1:]])  # type: ignore[no-any-return]


def _is_dilated(node: Node) -> bool:
    return bool(node.meta.get("custom", {}).get("dilated"))


def _side_by_side(is_centered: bool, trace: Trace, values: Values, node: Node) -> Tensor:  # noqa: FBT001  # a partial
    """Of each window as many elements, but without dilation: from its begin, or around its middle."""
    (n, m), source = values[trace.position[node]].shape[-2:], node
    while _is_dilated(source):
        source = source.args[0]  # type: ignore[assignment]  # a node
    window: Tensor = values[trace.position[source]]
    top, left = ((whole - taps) // 2 * is_centered for whole, taps in zip(window.shape[-2:], (n, m), strict=True))
    return window[..., top : top + n, left : left + m]


def _of_one_pool(which: str, trace: Trace, values: Values, node: Node) -> Tensor:
    """The terms are gradients times a mask that says which elements belong to which window."""
    product, axes = node.args[0], tuple(node.args[1])  # type: ignore[arg-type]  # a list
    terms, mask = trace.arg(node, 0, values), trace.arg(product, 1, values)  # type: ignore[arg-type]  # a node
    there = torch.broadcast_to(mask != 0, terms.shape).movedim(axes, (-2, -1)).flatten(-2)
    counted = there.cumsum(-1) if which == "first" else there.flip(-1).cumsum(-1).flip(-1)
    one = (there & (counted == 1)).reshape(*there.shape[:-1], *(terms.shape[axis] for axis in axes))
    one = one.movedim((-2, -1), axes)
    return trace.call(node, values, [terms * one.to(terms), *node.args[1:]])  # type: ignore[no-any-return]


def _cut(bins: Sequence[Sequence[tuple[int, int]]], where: str, trace: Trace, values: Values, node: Node) -> Tensor:
    """terms: (..., windows, height, windows, width). What is left of a window gets all that the window gives."""
    terms = trace.arg(node, 0, values)
    for axis, windows in zip((-4, -2), bins, strict=True):
        for k, (low, high) in enumerate(_kept(where, windows)):
            kept = terms.select(axis, k).clone()
            along = axis + 1  # of what is left when one axis is selected
            kept = kept * _within(low, high, kept.shape[along]).to(kept).reshape(-1, *[1] * (-along - 1))
            share = 1 if where.endswith("alone") else (windows[k][1] - windows[k][0]) / max(high - low, 1)
            terms = terms.clone()
            terms.select(axis, k).copy_(kept * share)
    return trace.call(node, values, [terms, *node.args[1:]])  # type: ignore[no-any-return]


def _kept(where: str, windows: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Of each window the first or the last element; or it ends where the next begins, begins where the last ends."""
    if where.startswith("first"):
        return [(low, low + 1) for low, _ in windows]
    if where.startswith("last"):
        return [(high - 1, high) for _, high in windows]
    lows, highs = (list(side) for side in zip(*windows, strict=True))
    if where == "end":
        highs = [min(pair) for pair in zip(highs, [*lows[1:], highs[-1]], strict=True)]
    else:
        lows = [max(pair) for pair in zip(lows, [lows[0], *highs[:-1]], strict=True)]
    return list(zip(lows, highs, strict=True))


def _within(low: int, high: int, size: int) -> Tensor:
    return torch.tensor([low <= i < high for i in range(size)])


def _first(first: Tensor, trace: Trace, values: Values, node: Node) -> Tensor:
    value: Tensor = values[trace.position[node]]
    return first.to(value).expand(value.shape)


def _divided(counts: Sequence[float], trace: Trace, values: Values, node: Node) -> Tensor:
    count = trace.arg(node, 1, values)
    return trace.arg(node, 0, values) / torch.tensor(counts, dtype=count.dtype).reshape(count.shape)  # type: ignore[no-any-return]
