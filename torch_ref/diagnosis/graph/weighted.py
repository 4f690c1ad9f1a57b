"""Two terms that are added up, each with a wrong weight: solved for on one case, predicted on the others."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from torch_ref.diagnosis.factors import plain
from torch_ref.diagnosis.graph.change import SCALED, Change
from torch_ref.diagnosis.graph.influence import Influence
from torch_ref.diagnosis.graph.nodes import Values
from torch_ref.diagnosis.graph.trace import Trace

aten: Any = torch.ops.aten


def weighted(trace: Trace, i: int, influence: Influence) -> Iterator[Change]:
    """Of a sum of two gradients, the weights with which it gives what the candidate gave, if there are any."""
    if _is_sum_of_two(trace.nodes[i]) and i in influence.jacobians:
        terms = [trace.values[trace.position[a]].expand(trace.values[i].shape) for a in trace.nodes[i].all_input_nodes]
        if weights := influence.weights(i, terms):
            yield _change(*(plain(weight, 1e-9) for weight in weights))


def weighted_there(trace: Trace, i: int, found: list[Change]) -> Iterator[Change]:
    """The same weights at a sum of the forward pass, in either order."""
    if _is_sum_of_two(trace.nodes[i]):
        for weights in dict.fromkeys(change.detail for change in found):
            yield _change(*weights)
            yield _change(*reversed(weights))


def _is_sum_of_two(node: Node) -> bool:
    return node.target is aten.add.Tensor and len(node.all_input_nodes) == 2


def _change(first: float, second: float) -> Change:
    return Change(SCALED, "weighted", (first, second), partial(_sum, first, second))


def _sum(first: float, second: float, trace: Trace, values: Values, node: Node) -> Tensor:
    return first * trace.arg(node, 0, values) + second * trace.arg(node, 1, values)  # type: ignore[no-any-return]
