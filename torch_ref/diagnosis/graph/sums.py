"""A sum or a mean over other axes, of fewer terms, one for the other, or none."""

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain, combinations
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from torch_ref.diagnosis.graph.change import SUMS, Change
from torch_ref.diagnosis.graph.nodes import Values, is_real
from torch_ref.diagnosis.graph.trace import Trace
from torch_ref.torch_private import operator_of

aten: Any = torch.ops.aten


def sums(trace: Trace, node: Node, value: Tensor) -> Iterator[Change]:
    """A sum or mean over other axes, of fewer terms, one for the other, or none."""
    operators = {**SUM_OPERATORS, aten.sum.default: torch.sum, aten.mean.default: torch.mean}
    if node.target not in operators:
        return
    if not is_real(value) or _is_mask(node.args[0]):
        yield Change(
            SUMS, "all counted", (), lambda t, v, n: t.call(n, v, [torch.ones_like(t.arg(n, 0, v)), *n.args[1:]])
        )
        if not is_real(value):
            return
    yield from _sum_or_mean(operators[node.target] is torch.mean)
    yield Change(SUMS, "not summed", (), lambda t, v, n: t.arg(n, 0, v))
    if node.target not in SUM_OPERATORS:
        return
    summed = trace.arg(node, 0, trace.values)
    axes = {axis % summed.dim() for axis in node.args[1]}  # type: ignore[union-attr]  # a list
    yield from _merged(trace, value)
    yield from _divided_by_fewer(tuple(sorted(axes))) if node.target is aten.mean.dim else ()
    every = chain.from_iterable(combinations(range(summed.dim()), k) for k in range(1, summed.dim() + 1))
    for others in every:
        # Of many axes, as of the products of a convolution, no one mistakes more than two.
        if set(others) != axes and (summed.dim() < 6 or len(axes.symmetric_difference(others)) < 3):
            yield Change(SUMS, "over other axes", (others, tuple(sorted(axes)), summed.dim()), partial(_over, others))
    for what, part in ("first", slice(0, 1)), ("last", slice(-1, None)):
        for axis in _merged_axes(trace, summed, axes):
            yield Change(SUMS, f"only the {what} of each", (axis,), partial(_of_part_of_each, part, axis))
        yield Change(SUMS, f"only the {what}", (tuple(sorted(axes)),), partial(_of_part, part))
        for axis in axes if len(axes) > 1 else ():
            yield Change(SUMS, f"only the {what}", ((axis,),), partial(_of_part, part, only=axis))


def _sum_or_mean(is_mean: bool) -> Iterator[Change]:  # noqa: FBT001  # of one or the other
    """The one for the other."""
    if is_mean:
        yield Change(SUMS, "sum for mean", (), lambda t, v, n: v[t.position[n]] * _count(t, v, n))
        yield Change(SUMS, "n - 1", (), lambda t, v, n: v[t.position[n]] * (_count(t, v, n) / (_count(t, v, n) - 1)))
    else:
        yield Change(SUMS, "mean for sum", (), lambda t, v, n: v[t.position[n]] / _count(t, v, n))


def _divided_by_fewer(axes: tuple[int, ...]) -> Iterator[Change]:
    for some in chain.from_iterable(combinations(axes, k) for k in range(1, len(axes))):
        yield Change(SUMS, "divided by fewer", (some, axes), partial(_divided_by, some))


def _divided_by(axes: tuple[int, ...], trace: Trace, values: Values, node: Node) -> Tensor:
    """A mean, divided by the size of some of its axes alone."""
    shape = trace.arg(node, 0, values).shape
    return values[trace.position[node]] * (_count(trace, values, node) / prod(shape[axis] for axis in axes))  # type: ignore[no-any-return]


def _count(trace: Trace, values: Values, node: Node) -> float:
    return trace.arg(node, 0, values).numel() / values[trace.position[node]].numel()  # type: ignore[no-any-return]


def _is_mask(argument: Any) -> bool:
    """Whether this is a condition, as numbers perhaps."""
    while isinstance(argument, Node) and argument.target in (operator_of("_to_copy").default, aten.view.default):
        argument = argument.args[0]
    return isinstance(argument, Node) and argument.target in CONDITIONS


def _merged(trace: Trace, value: Tensor) -> Iterator[Change]:
    """Where an axis is the batch and another one in one, over one of these two besides."""
    for axis, size in enumerate(value.shape):
        if _is_merged(trace, size):
            for of_batch in (True, False):
                yield Change(SUMS, "over a merged axis", (axis, of_batch), partial(_of_merged, axis, of_batch))


def _of_merged(axis: int, of_batch: bool, trace: Trace, values: Values, node: Node) -> Tensor:  # noqa: FBT001  # a partial
    value, operator = values[trace.position[node]], SUM_OPERATORS[node.target]
    parts = value.unflatten(axis, (trace.case.sizes["batch"], -1))
    other = operator(parts, axis if of_batch else axis + 1, keepdim=True)
    return other.expand_as(parts).reshape(value.shape)  # type: ignore[no-any-return]


def _merged_axes(trace: Trace, summed: Tensor, axes: Iterable[int]) -> list[int]:
    """Of these axes those that may be several in one; a tensor of many axes has none."""
    return [axis for axis in axes if summed.dim() < 4 and _is_merged(trace, summed.shape[axis])]


def _is_merged(trace: Trace, size: int) -> bool:
    """Whether an axis may be the batch and another one in one."""
    batch = trace.case.sizes.get("batch", 0)
    return batch > 1 and size > batch and not size % batch


def _of_part_of_each(part: slice, axis: int, trace: Trace, values: Values, node: Node) -> Tensor:
    """Of an axis that is the batch and another one in one, the first or the last of each sample."""
    parts = trace.arg(node, 0, values).unflatten(axis, (trace.case.sizes["batch"], -1))
    return trace.call(node, values, [parts.movedim(axis + 1, 0)[part].sum(0), *node.args[1:]])  # type: ignore[no-any-return]


def _over(axes: tuple[int, ...], trace: Trace, values: Values, node: Node) -> Tensor:
    shape, keeps = values[trace.position[node]].shape, len(node.args) > 2 and bool(node.args[2])
    other = SUM_OPERATORS[node.target](trace.arg(node, 0, values), axes, keepdim=keeps)
    return other.reshape(shape) if other.numel() == shape.numel() and not keeps else other  # type: ignore[no-any-return]


def _of_part(part: slice, trace: Trace, values: Values, node: Node, only: int | None = None) -> Tensor:
    summed = trace.arg(node, 0, values)
    axes = {axis % summed.dim() for axis in node.args[1]} if only is None else {only}  # type: ignore[union-attr]  # a list
    taken = summed[tuple(part if axis in axes else slice(None) for axis in range(summed.dim()))]
    return trace.call(node, values, [taken, *node.args[1:]])  # type: ignore[no-any-return]


CONDITIONS = {
    *(aten.ne.Scalar, aten.ne.Tensor, aten.eq.Scalar, aten.eq.Tensor, aten.gt.Scalar, aten.gt.Tensor),
    *(aten.ge.Scalar, aten.ge.Tensor, aten.lt.Scalar, aten.lt.Tensor, aten.le.Scalar, aten.le.Tensor),
    *(aten.logical_not.default, aten.logical_and.default, aten.bitwise_not.default, aten.bitwise_and.Tensor),
}
SUM_OPERATORS: dict[Any, Any] = {aten.sum.dim_IntList: torch.sum, aten.mean.dim: torch.mean}
