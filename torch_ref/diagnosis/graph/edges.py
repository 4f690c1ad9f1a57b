"""A change that one user of a value sees and the others do not: dL/dW without the slope, say, and dL/db with it."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch.fx import Node

from torch_ref.diagnosis.graph.alike import Group
from torch_ref.diagnosis.graph.change import EDGES, SIMPLE, Change
from torch_ref.diagnosis.graph.nodes import Values
from torch_ref.diagnosis.graph.trace import Trace

aten: Any = torch.ops.aten


def edges(trace: Trace, group: Group, changes: Callable[[int], list[Change]]) -> Iterator[Change]:
    """The simple changes of each argument of these nodes, where others use it too."""
    for j, argument in enumerate(trace.nodes[group[0]].args):
        if isinstance(argument, Node) and len(trace.users[a := trace.position[original(argument)]]) > 1:
            for change in changes(a):
                if change.rank == SIMPLE:
                    yield Change(EDGES, "edge", (j, change), partial(_seen, j, change))


def original(node: Any) -> Node:
    """What a node is a copy of: what the backward pass keeps may be one."""
    return original(node.args[0]) if node.target is aten.clone.default else node


def _seen(j: int, change: Change, trace: Trace, values: Values, node: Node) -> Any:
    argument = node.args[j]
    args = [change.value(trace, values, original(argument)) if a is argument else a for a in node.args]
    return trace.call(node, values, args)
