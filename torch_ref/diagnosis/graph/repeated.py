"""Indices that are repeated: what belongs together is not added up, or only in part."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from torch_ref.diagnosis.graph.change import SIMPLE, Change
from torch_ref.diagnosis.graph.nodes import Values
from torch_ref.diagnosis.graph.trace import Trace
from torch_ref.torch_private import operator_of

aten: Any = torch.ops.aten
PUTS = aten.index_put.default, operator_of("_unsafe_index_put").default
# Of what adds up where an index says, what writes there; both take (tensor, axis, index, source).
ADDS: dict[Any, Callable[..., Tensor]] = {
    aten.scatter_add.default: torch.scatter,
    aten.index_add.default: torch.index_copy,
}


def repeated(node: Node) -> Iterator[Change]:
    """Of the rows that an index names twice, the last one overwrites the others: all in all, or in each sample."""
    if node.target is aten.embedding_dense_backward.default or (node.target in PUTS and len(node.args) > 3):
        yield Change(SIMPLE, "overwritten", (), partial(_overwritten, each=False))
        yield Change(SIMPLE, "overwritten in each sample", (), partial(_overwritten, each=True))
    if node.target in ADDS:
        yield Change(SIMPLE, "overwritten", (), _written)


def _written(trace: Trace, values: Values, node: Node) -> Tensor:
    start, axis, index, source = (trace.arg(node, j, values) for j in range(4))
    written = ADDS[node.target](torch.zeros_like(start), axis, index, source)
    return torch.as_tensor(start + written)


def _overwritten(trace: Trace, values: Values, node: Node, *, each: bool) -> Tensor:
    if node.target in PUTS:
        table, rows = trace.arg(node, 0, values), trace.arg(node, 2, values)
        indices = [values[trace.position[i]] for i in node.args[1] if i is not None]  # type: ignore[union-attr]  # a list of nodes
        if len(indices) != 1:
            return trace.call(node, values, (*node.args[:3], False))  # type: ignore[no-any-return]
        (tokens,) = indices
        start = table
    else:
        rows, tokens = (trace.arg(node, j, values) for j in (0, 1))
        start = torch.zeros_like(values[trace.position[node]])
    samples = list(zip(tokens, rows, strict=True)) if each else [(tokens, rows)]
    total = start.clone()
    for some, given in samples:
        kept = torch.zeros_like(total)
        for token, row in zip(some.flatten().tolist(), given.reshape(-1, *start.shape[1:]), strict=True):
            kept[token] = row
        total = total + kept
    return torch.as_tensor(total)
