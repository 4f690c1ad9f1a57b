"""How a node, its arguments and the paths back through it are called in a sentence."""

from typing import Any

from torch.fx import Node

from torch_ref.diagnosis.graph.formulas import formula, named
from torch_ref.diagnosis.graph.nodes import is_backward
from torch_ref.diagnosis.graph.origin import origin_of
from torch_ref.diagnosis.graph.trace import Trace
from torch_ref.diagnosis.graph.vocabulary import operator


def subject(trace: Trace, i: int) -> str:
    """What a node gives: a term that has a name, the gradient to something, a value."""
    node = trace.nodes[i]
    if term := role(node):
        return term
    outputs = [name for name, position in trace.outputs.items() if position == i]
    if outputs:
        return trace.case.label(outputs[0])
    if not is_backward(node):
        return named(trace, i)
    return f"the gradient back through the {operator(origin_of(trace, i).operator)}"


def argument(trace: Trace, i: int, j: int) -> str:
    """An argument of a node: a gradient, a term, a value."""
    argument = trace.nodes[i].args[j]
    if not isinstance(argument, Node):
        return f"{argument:.6g}" if isinstance(argument, float) else str(argument)
    text = formula(trace, trace.position[argument], 3, top=False)
    return text if text != "g" else "the gradient that comes in"


def role(argument: Any) -> str:
    """The name of a term, if it has one."""
    return str(argument.meta.get("custom", {}).get("role", "")) if isinstance(argument, Node) else ""


def _paths(trace: Trace, argument: Any) -> list[str]:
    """What the gradients are of that are added up here."""
    if argument.meta.get("is_gradient_acc"):
        return [path for addend in argument.args for path in _paths(trace, addend)]
    if argument.op == "placeholder":
        return ["the identity"]
    origin = origin_of(trace, trace.position[argument])
    return [f"the {operator(origin.operator)}" + (f" of `{origin.module[0]}`" if origin.module[0] else "")]


def _listed(paths: list[str]) -> str:
    return " and ".join(dict.fromkeys(paths))


def one_path(trace: Trace, node: Node, j: int) -> str:
    """Of the paths on which a gradient comes back, what is missing and what is there."""
    missing, there = (_paths(trace, node.args[k]) for k in (1 - j, j))
    if len(set(missing + there)) == 1:
        return "the gradients of several steps are not added up, some are missing"
    return f"the gradient back through {_listed(missing)} is missing, only that through {_listed(there)} is there"
