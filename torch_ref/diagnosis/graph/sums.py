"""A sum or a mean over other axes, of fewer terms, one for the other, or none."""

from collections.abc import Iterator
from functools import partial
from itertools import chain, combinations
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from torch_ref.diagnosis.graph.change import SUMS, Change
from torch_ref.diagnosis.graph.nodes import Values, is_real
from torch_ref.diagnosis.graph.trace import Trace

aten: Any = torch.ops.aten


def sums(trace: Trace, node: Node, value: Tensor) -> Iterator[Change]:
    """A sum or mean over other axes, of fewer terms, one for the other, or none."""
    operators = {**SUM_OPERATORS, aten.sum.default: torch.sum, aten.mean.default: torch.mean}
    if node.target not in operators:
        return
    if not is_real(value):
        yield Change(SUMS, "all counted", (), lambda t, v, n: torch.ones_like(t.arg(n, 0, v)).sum())
        return
    summed = trace.arg(node, 0, trace.values)
    is_mean = operators[node.target] is torch.mean

    def count(trace: Trace, values: Values, node: Node) -> float:
        return trace.arg(node, 0, values).numel() / values[trace.position[node]].numel()  # type: ignore[no-any-return]

    if is_mean:
        yield Change(SUMS, "sum for mean", (), lambda t, v, n: v[t.position[n]] * count(t, v, n))
        yield Change(SUMS, "n - 1", (), lambda t, v, n: v[t.position[n]] * (count(t, v, n) / (count(t, v, n) - 1)))
    else:
        yield Change(SUMS, "mean for sum", (), lambda t, v, n: v[t.position[n]] / count(t, v, n))
    yield Change(SUMS, "not summed", (), lambda t, v, n: t.arg(n, 0, v))
    if node.target not in SUM_OPERATORS:
        return
    axes = {axis % summed.dim() for axis in node.args[1]}  # type: ignore[union-attr]  # a list
    every = chain.from_iterable(combinations(range(summed.dim()), k) for k in range(1, summed.dim() + 1))
    for others in every:
        if set(others) != axes:
            yield Change(SUMS, "over other axes", (others, tuple(sorted(axes)), summed.dim()), partial(_over, others))
    for what, part in ("first", slice(0, 1)), ("last", slice(-1, None)):
        yield Change(SUMS, f"only the {what}", (tuple(sorted(axes)),), partial(_of_part, part))
        for axis in axes if len(axes) > 1 else ():
            yield Change(SUMS, f"only the {what}", ((axis,),), partial(_of_part, part, only=axis))


def _over(axes: tuple[int, ...], trace: Trace, values: Values, node: Node) -> Tensor:
    shape, keeps = values[trace.position[node]].shape, len(node.args) > 2 and bool(node.args[2])
    other = SUM_OPERATORS[node.target](trace.arg(node, 0, values), axes, keepdim=keeps)
    return other.reshape(shape) if other.numel() == shape.numel() and not keeps else other  # type: ignore[no-any-return]


def _of_part(part: slice, trace: Trace, values: Values, node: Node, only: int | None = None) -> Tensor:
    summed = trace.arg(node, 0, values)
    axes = {axis % summed.dim() for axis in node.args[1]} if only is None else {only}  # type: ignore[union-attr]  # a list
    taken = summed[tuple(part if axis in axes else slice(None) for axis in range(summed.dim()))]
    return trace.call(node, values, [taken, *node.args[1:]])  # type: ignore[no-any-return]


SUM_OPERATORS: dict[Any, Any] = {aten.sum.dim_IntList: torch.sum, aten.mean.dim: torch.mean}
