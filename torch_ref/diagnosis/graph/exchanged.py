"""The gradients to the two factors of a product in each other's place."""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch.fx import Node

from torch_ref.diagnosis.graph.alike import Group
from torch_ref.diagnosis.graph.change import SIMPLE, Change
from torch_ref.diagnosis.graph.nodes import Values, is_backward
from torch_ref.diagnosis.graph.trace import Trace

aten: Any = torch.ops.aten


def exchanged(trace: Trace, some: Iterable[Group]) -> Iterator[tuple[Group, Change]]:
    """For each group of products the other gradients of the same products with it, and the change."""
    for group in some:
        others = [_other(trace, i) for i in group]
        if all(other > i for i, other in zip(group, others, strict=True)):
            pairs = tuple(i for pair in zip(group, others, strict=True) for i in pair)
            yield pairs, Change(SIMPLE, "factors exchanged", (), _as_the_other)


def _other(trace: Trace, i: int) -> int:
    """The gradient to the other factor, of the same shape; -1, if there is none."""
    block = [j for j in trace.blocks.get(trace.number(i), []) if is_backward(trace.nodes[j])]
    alike = [j for j in block if trace.nodes[j].target is aten.mul.Tensor and j != i]
    is_product = trace.nodes[i].target is aten.mul.Tensor and len(block) == 2 and len(alike) == 1
    return alike[0] if is_product and trace.values[alike[0]].shape == trace.values[i].shape else -1


def _as_the_other(trace: Trace, values: Values, node: Node) -> Any:
    return trace.calls[_other(trace, trace.position[node])](values)
