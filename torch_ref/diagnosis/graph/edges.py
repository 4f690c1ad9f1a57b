"""A change that one user of a value sees and the others do not: dL/dW without the slope, say, and dL/db with it."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch.fx import Node

from torch_ref.diagnosis.graph.alike import Group
from torch_ref.diagnosis.graph.change import EDGES, SIMPLE, Change
from torch_ref.diagnosis.graph.nodes import Values
from torch_ref.diagnosis.graph.origin import origin_of
from torch_ref.diagnosis.graph.trace import Trace

aten: Any = torch.ops.aten
PASSING = "add", "sub", "rsub"


def edges(trace: Trace, group: Group, changes: Callable[[int], list[Change]]) -> Iterator[Change]:
    """The simple changes of each argument of these nodes, where others use it too."""
    for j in range(len(trace.nodes[group[0]].args)):
        given = [of.args[j] for i in group if len((of := trace.nodes[i]).args) > j]
        arguments = [argument for argument in given if isinstance(argument, Node)]
        # At the last step a gradient may be no sum yet.
        argument = next((of for of in arguments if of.meta.get("is_gradient_acc")), arguments[0] if arguments else None)
        if argument and len(trace.users[a := trace.position[original(argument)]]) > 1:
            for change in changes(a):
                if change.rank == SIMPLE:
                    yield Change(EDGES, "edge", (j, change, a), partial(_seen, j, change, trace.position[argument]))


def cut_in(trace: Trace) -> Iterator[tuple[Group, Change]]:
    """A gradient that goes on to several operators as it is, as that of a sum does: one of them does not get it."""
    for i in sorted(trace.gradients):
        by_number: dict[int, list[int]] = defaultdict(list)
        for user in trace.users[i]:
            if user in trace.gradients and trace.number(user) != trace.number(i) and trace.number(user) >= 0:
                by_number[trace.number(user)].append(user)
        for some in by_number.values() if len(by_number) > 1 else ():
            if origin_of(trace, some[0]).operator.removesuffix("_") in PASSING:  # the other gets it
                continue
            yield tuple(some), Change(EDGES, "cut in", (), partial(_without, i))


def _without(i: int, trace: Trace, values: Values, node: Node) -> Any:
    """The operator with zeros for a gradient."""
    args = [values[i] * 0 if isinstance(a, Node) and trace.position[a] == i else a for a in node.args]
    return trace.call(node, values, args)


def original(node: Any) -> Node:
    """What a node is a copy of: what the backward pass keeps may be one."""
    return original(node.args[0]) if node.target is aten.clone.default else node


def _seen(j: int, change: Change, of_sum: int, trace: Trace, values: Values, node: Any) -> Any:
    """of_sum: the argument at a node where it is a sum of gradients, if it is one anywhere."""
    argument, like = node.args[j], trace.nodes[of_sum]
    is_part = like.meta.get("is_gradient_acc") and not argument.meta.get("is_gradient_acc")
    if is_part and change.kind == "passed on":
        missing = like.args[1 - change.detail[0]]
        places = [origin_of(trace, trace.position[of]) for of in (missing, argument)]
        new = trace.arg(node, j, values) * (places[0] != places[1])
    else:
        new = change.value(trace, values, original(argument))
    return trace.call(node, values, [new if a is argument else a for a in node.args])
