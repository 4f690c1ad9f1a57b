"""A node's value as a formula: what is computed there, down to what has a name."""

from typing import Any

import torch
from torch.fx import Node

from torch_ref.diagnosis.graph.gates import BEFORE, gates, of_step_before, takes_state
from torch_ref.diagnosis.graph.nodes import is_backward
from torch_ref.diagnosis.graph.origin import origin_of
from torch_ref.diagnosis.graph.quoted import quoted
from torch_ref.diagnosis.graph.signs import AROUND, BETWEEN, SILENT, shown
from torch_ref.diagnosis.graph.time_steps import in_time, steps
from torch_ref.diagnosis.graph.trace import Trace
from torch_ref.diagnosis.graph.variables import variable_of
from torch_ref.diagnosis.graph.vocabulary import operator

aten: Any = torch.ops.aten
G = "g"  # the gradient that comes in
LEFT_OUT = "…"
SIGNS = " + ", " - ", " · ", " / ", " @ ", " < ", " > ", " ≤ ", " ≥ ", " = ", " ≠ "
SHORT = 56  # signs, at most, of a value that is said by its formula


def formula(trace: Trace, i: int, depth: int = 4, *, top: bool = True) -> str:  # noqa: PLR0911  # one case a line
    """The value of a node: its operator and, so deep, what it is computed from. Gradients that come in are g."""
    node = trace.nodes[i]
    symbols = [of.meta.get("custom", {}).get("symbol") for of in (node, *node.users)]
    if symbols[0] and symbols.count(symbols[0]) == 1:  # the last of a term that has a symbol
        return str(symbols[0])
    if node.op != "call_function" or (not top and _own_name(trace, i)):
        return named(trace, i)
    if node.target in SILENT:
        return formula(trace, trace.position[node.args[0]], depth, top=top)
    if not top and not is_backward(node) and (depth == 0 or not _is_inner(trace, i)):
        return named(trace, i)
    if depth == 0:
        return G if i in trace.gradients else LEFT_OUT if is_backward(node) else named(trace, i)
    if not top and (sigma := _of_norm(trace, i)):
        return sigma
    return _written(trace, i, depth) or named(trace, i)


def _written(trace: Trace, i: int, depth: int) -> str:  # noqa: PLR0911  # one case a line
    """With the signs of the operator; nothing, if it has none."""
    node = trace.nodes[i]
    if node.target in (aten.mul.Tensor, aten.mul.Scalar) and 1 in node.args[:2]:  # as torch multiplies a bias
        return _part(trace, i, node.args[1 - node.args.index(1)], depth, wrap=False)
    if node.target in BETWEEN:
        parts = [_part(trace, i, argument, depth) for argument in node.args[:2]]
        return BETWEEN[node.target].join(parts)
    if node.target is aten.rsub.Scalar:
        return " - ".join(_part(trace, i, argument, depth) for argument in reversed(node.args[:2]))
    if node.target in AROUND:
        wrap = not AROUND[node.target].endswith((")", "‖", "|"))
        return AROUND[node.target].format(_part(trace, i, node.args[0], depth, wrap=wrap)).removesuffix("ᵀᵀ")
    if node.target is aten.pow.Tensor_Scalar:
        exponent = {1: "", 2: "²", 3: "³"}.get(node.args[1], f"^{node.args[1]:g}")
        base = _part(trace, i, node.args[0], depth)
        return f"({base}){exponent}" if base.startswith(("the ", "a ")) else f"{base}{exponent}"
    if node.target is aten.where.self:
        condition, yes, no = (_part(trace, i, argument, depth, wrap=False) for argument in node.args)
        return f"({yes} where {condition}, else {no})"
    return ""


def _is_inner(trace: Trace, i: int) -> bool:
    """Whether a node of the forward pass is within an operator, not its result."""
    return any(trace.number(user) == trace.number(i) and not is_backward(trace.nodes[user]) for user in trace.users[i])


def _of_norm(trace: Trace, i: int) -> str:
    """σ of a norm, the variance with ε in it, the standardized input; nothing, if it is none of them."""
    node = trace.nodes[i]
    if not operator(origin_of(trace, i).operator).endswith(" norm"):
        return ""
    if node.target is aten.rsqrt.default:
        return "1/σ"
    targets = [of.target for of in node.all_input_nodes]
    if node.target is aten.mul.Tensor and targets == [aten.sub.Tensor, aten.rsqrt.default]:
        return "x̂"
    if node.target is aten.sub.Tensor and not is_backward(node):
        return "x - mean(x)"
    roots = any(trace.nodes[user].target is aten.rsqrt.default for user in trace.users[i])
    return "σ²" if roots and "add" in str(node.target) else ""


def _part(trace: Trace, i: int, argument: Any, depth: int, *, wrap: bool = True) -> str:
    """An argument of node i: g, if it is a gradient that comes in from another operator."""
    if not isinstance(argument, Node):
        return trace.constant(i, argument)
    node, argument = trace.nodes[i], shown(argument)
    j = trace.position[argument]
    if j in trace.gradients and is_backward(node) and is_backward(argument) and trace.number(j) != trace.number(i):
        return G
    text = as_taken(trace, i, j, formula(trace, j, depth - 1, top=False))
    if text == named_operator(trace, i) and trace.number(j) == trace.number(i):
        return LEFT_OUT  # a part of an operator, which is not to be called by the name of the whole
    is_one = text.endswith("ᵀ") or (text.startswith("`") and text.find("`", 1) == len(text) - 1)
    return f"({text})" if wrap and not is_one and any(sign in text for sign in (*SIGNS, BEFORE)) else text


def as_taken(trace: Trace, i: int, j: int, text: str) -> str:
    """What a value j of the forward pass is called where node i's operator takes it: of the step before, say."""
    there = [trace.nodes[k] for k in trace.blocks.get(trace.number(i), ()) if not is_backward(trace.nodes[k])]
    if not there or is_backward(trace.nodes[j]) or not text.endswith("`"):
        return text
    own, of = (steps(trace).get(trace.number(k)) for k in (i, j))
    if j in gates(trace) and not (own and of and own.steps == of.steps > 1):
        return of_step_before(text) if takes_state(there[-1]) else text
    is_before = own and of and own.steps == of.steps and of.step == own.step - 1 and in_time(trace, j)
    return of_step_before(text) if is_before else text


def named(trace: Trace, i: int) -> str:  # noqa: PLR0911  # one case a line
    """A value by name: an argument; a variable of the source; a short formula; the output of a module, an operator."""
    node = trace.nodes[i]
    if node.op == "placeholder":
        return f"`{trace.names[i]}`"
    if node.op != "call_function":
        return "a constant"
    if node.target in (aten.full.default, aten.full_like.default, aten.scalar_tensor.default, aten.zeros.default):
        constant = next((a for a in node.args if isinstance(a, int | float)), 0)
        return f"{constant:g}"
    if name := _own_name(trace, i):
        return name
    if node.target in SILENT or node.target is aten.permute.default:
        inner = named(trace, trace.position[node.args[0]])
        wrapped = f"({inner})" if " " in inner and "`" in inner else inner
        return f"{wrapped}ᵀ".removesuffix("ᵀᵀ") if node.target is aten.permute.default else inner
    if role := node.meta.get("custom", {}).get("role"):
        return str(role)
    if sigma := _of_norm(trace, i):
        return sigma
    if text := quoted(trace, i) or _short(trace, i):
        return text
    depth = 1 if node.target is aten.pow.Tensor_Scalar else 3 if is_backward(node) else 0
    text = _written(trace, i, depth) if depth and i not in trace.gradients else ""
    if text and LEFT_OUT not in text and len(text) <= SHORT:
        return text
    variable = variable_of(trace, i, anywhere=True)
    return f"`{variable}`" if variable else named_operator(trace, i)


def _own_name(trace: Trace, i: int) -> str:
    """A value's name in the formulas of torch's recurrent modules, or in the source."""
    variable = variable_of(trace, i)
    return gates(trace).get(i) or (f"`{variable}`" if variable else "")


def named_operator(trace: Trace, i: int) -> str:
    """A value by its operator."""
    origin, there = origin_of(trace, i), "a value within " if _is_inner(trace, i) else ""
    back = "the gradient to " if i in trace.gradients else "a term in the backward pass of "
    return f"{back if is_backward(trace.nodes[i]) else there}the {operator(origin.operator)}{of(origin.module)}"


def _short(trace: Trace, i: int) -> str:
    """A formula of names alone, if it is a short one, and of no module that has a name."""
    if origin_of(trace, i).module[0]:
        return ""
    inner = trace.gradients if is_backward(trace.nodes[i]) else ()
    text = _written(trace, i, 2) if i not in inner else ""
    is_plain = not any(word in text for word in (LEFT_OUT, "the ", "where"))
    return text if len(text) <= SHORT and is_plain and G not in text.split() else ""


def of(module: tuple[str, str]) -> str:
    """Of which module, if of one with a name."""
    return f" of `{module[0]}`" if module[0] else ""
