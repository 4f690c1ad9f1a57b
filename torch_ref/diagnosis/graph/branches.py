"""On which side of a condition a value counts: of a leaky ReLU's gradient, say, the part below 0 alone."""

from typing import Any

import torch
from torch.fx import Node

from torch_ref.diagnosis.graph.formulas import LEFT_OUT, formula
from torch_ref.diagnosis.graph.nodes import is_backward
from torch_ref.diagnosis.graph.trace import Trace

aten: Any = torch.ops.aten
OPPOSITE = {" > ": " ≤ ", " ≤ ": " > ", " < ": " ≥ ", " ≥ ": " < ", " = ": " ≠ ", " ≠ ": " = "}


def side(trace: Trace, i: int) -> str:
    """Where the value of a node counts, as the end of a sentence; nothing, if its operator takes it everywhere."""
    users = [user for user in trace.users[i] if is_backward(trace.nodes[user]) == is_backward(trace.nodes[i])]
    if len(users) != 1 or trace.number(users[0]) != trace.number(i):
        return ""
    node = trace.nodes[users[0]]
    if node.target is not aten.where.self or trace.nodes[i] is node.args[0]:
        return ""
    return of_side(trace, users[0], 1 if trace.nodes[i] is node.args[1] else 2)


def _is_zero(argument: Any) -> bool:
    """Whether a side is 0."""
    constants = aten.full.default, aten.scalar_tensor.default, aten.zeros.default, aten.zeros_like.default
    if isinstance(argument, Node):
        return argument.target in constants and all(a == 0 for a in argument.args if isinstance(a, int | float))
    return bool(argument == 0)


def opposite(condition: str) -> str:
    """What holds where a comparison does not; nothing for any other condition."""
    signs = [sign for sign in OPPOSITE if sign in condition]
    is_one = len(signs) == 1 and condition.count(signs[0]) == 1 and " or " not in condition and " and " not in condition
    return condition.replace(signs[0], OPPOSITE[signs[0]]) if is_one else ""


def of_side(trace: Trace, i: int, j: int) -> str:
    """Where a condition takes its argument j: the first where it holds, the second where it does not.

    Nothing, if the other is 0: what goes wrong on this side then goes wrong wherever there is anything.
    """
    condition = formula(trace, trace.position[trace.nodes[i].args[0]], 3)
    if _is_zero(trace.nodes[i].args[3 - j]) or LEFT_OUT in condition:
        return side(trace, i)
    if j == 1:
        where = f" where {condition}"
    else:
        where = f" where {other}" if (other := opposite(condition)) else f" except where {condition}"
    outer = side(trace, i)
    return f"{where} and{outer.removeprefix(' where')}" if outer.startswith(" where") else f"{where}{outer}"
