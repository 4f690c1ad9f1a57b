"""How a node, its arguments and the paths back through it are called in a sentence."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.fx import Node

from torch_ref.diagnosis.graph.formulas import as_taken, formula, named
from torch_ref.diagnosis.graph.nodes import is_backward, is_real
from torch_ref.diagnosis.graph.origin import origin_of
from torch_ref.diagnosis.graph.paths import ends_of, listed, paths
from torch_ref.diagnosis.graph.trace import Trace
from torch_ref.diagnosis.graph.vocabulary import operator

aten: Any = torch.ops.aten
PRODUCTS = "matrix product", "linear layer"


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
    if i not in trace.gradients or is_part(trace, i):
        return formula(trace, i, 3, top=i in trace.gradients)
    to = "" if node.meta.get("is_gradient_acc") else _to(trace, i)
    return f"the gradient {to}back through {listed(paths(trace, node))}"


def is_part(trace: Trace, i: int) -> bool:
    """Whether a gradient is a step within the backward pass of its operator, not what that gives to another."""
    return i not in trace.ends and all(trace.number(user) == trace.number(i) for user in trace.users[i])


def _to(trace: Trace, i: int) -> str:
    """To which of the arguments of its operator a gradient is, if there are several."""
    name = goal(trace, i, several=True)
    return f"to {name} " if name else ""


def goal(trace: Trace, i: int, *, several: bool = False) -> str:
    """The argument of its operator that a gradient is to; several: only if there is more than one."""
    there = [j for j in trace.blocks.get(trace.number(i), ()) if not is_backward(trace.nodes[j])]
    outer = [a for j in there for a in trace.nodes[j].all_input_nodes if trace.position[a] not in there]
    given = [a for a in dict.fromkeys(outer) if is_real(trace.values[trace.position[a]])]
    if several and len(given) < 2:
        return ""
    ends = set(ends_of(trace, i))
    found = _factor(trace, i, given) or [a for a in given if _source(trace, a) in ends]
    if len(found) != 1:
        return ""
    j = trace.position[found[0]]
    return as_taken(trace, i, j, named(trace, j))


def _factor(trace: Trace, i: int, given: list[Node]) -> list[Node]:
    """The factor of a product that a gradient is to: it is multiplied by the other one."""
    node = trace.nodes[i]
    if node.target is not aten.mul.Tensor or origin_of(trace, i).operator.removesuffix("_") != "mul":
        return []
    left = [a for a in given if a not in node.all_input_nodes]
    return left if len(left) == 1 else []


def _source(trace: Trace, argument: Node) -> int | str:
    """The name of an argument of the case, or the number of the operator that gives it."""
    i = trace.position[argument]
    return trace.names[i] if i < len(trace.names) else trace.number(i)


def squared(trace: Trace, group: Sequence[int]) -> str:
    """The square of a value by itself, if these are the gradients to one of its two factors; nothing otherwise."""
    there = [trace.nodes[j] for j in trace.blocks.get(trace.number(group[0]), ())]
    product = next((node for node in there if not is_backward(node) and node.target is aten.mul.Tensor), None)
    is_half = len({trace.number(i) for i in group}) == len(group) and group[0] in trace.gradients
    if product is None or product.args[0] is not product.args[1] or not is_half:
        return ""
    return named(trace, trace.position[product])


def argument(trace: Trace, i: int, j: int) -> str:
    """An argument of a node: a gradient, a term, a value."""
    argument = trace.nodes[i].args[j]
    if not isinstance(argument, Node):
        text = trace.constant(i, argument)
        return f"the {text}" if text in trace.case.sizes else text
    k = trace.position[argument]
    comes_in = k in trace.gradients and is_backward(argument) and 0 <= trace.number(i) != trace.number(k)
    text = as_taken(trace, i, k, formula(trace, k, 3, top=False))
    return "the gradient that comes in" if comes_in or text == "g" else text


def told_apart(trace: Trace, j: int, k: int) -> tuple[str, str]:
    """Two values, with their lines where they would be called the same."""
    names = [formula(trace, of, 3, top=False) for of in (j, k)]
    lines = [origin_of(trace, of).line for of in (j, k)]
    if names[0] == names[1] and lines[0] != lines[1]:
        names = [f"{name} at `{line}`" for name, line in zip(names, lines, strict=True)]
    return names[0], names[1]


def axes_of(trace: Trace, i: int, axes: Sequence[int], *, summed: bool = False) -> str:
    """Axes of a value, or of what it sums, as the user counts them: of windows, which have more axes, from the end."""
    of = trace.nodes[i].args[0] if summed else trace.nodes[i]
    dim = trace.values[trace.position[of]].dim() if isinstance(of, Node) else 0
    in_windows = operator(origin_of(trace, i).operator).endswith(("convolution", "pooling"))
    if axes and operator(origin_of(trace, i).operator) in PRODUCTS and list(axes) == [dim - 1]:
        return "the last axis"  # of what was made a matrix of, too
    shape = trace.values[trace.position[of]].shape if isinstance(of, Node) else ()
    some = [axis for axis in axes if len(shape) <= axis or shape[axis] > 1] or list(axes)  # 1-d runs as 2-d, of one row
    named = [str(axis - dim if in_windows and axis else axis) for axis in some]
    return f"{'axis' if len(named) == 1 else 'axes'} {', '.join(named)}"


def role(argument: Any) -> str:
    """The name of a term, if it has one."""
    return str(argument.meta.get("custom", {}).get("role", "")) if isinstance(argument, Node) else ""
