"""A node's value as a formula: what is computed there, down to what has a name."""

from typing import Any

import torch
from torch.fx import Node

from torch_ref.diagnosis.graph.nodes import is_backward
from torch_ref.diagnosis.graph.origin import origin_of
from torch_ref.diagnosis.graph.trace import Trace
from torch_ref.diagnosis.graph.vocabulary import operator
from torch_ref.torch_private import operator_of

aten: Any = torch.ops.aten
G = "g"  # the gradient that comes in

BETWEEN = {
    aten.mul.Tensor: " · ",
    aten.mul.Scalar: " · ",
    aten.add.Tensor: " + ",
    aten.add.Scalar: " + ",
    aten.sub.Tensor: " - ",
    aten.sub.Scalar: " - ",
    aten.div.Tensor: " / ",
    aten.div.Scalar: " / ",
    aten.mm.default: " @ ",
    aten.bmm.default: " @ ",
}
AROUND = {
    aten.sum.dim_IntList: "Σ {}",
    aten.sum.default: "Σ {}",
    aten.mean.dim: "mean({})",
    aten.mean.default: "mean({})",
    aten.neg.default: "-{}",
    aten.rsqrt.default: "1/√({})",
    aten.sqrt.default: "√({})",
    aten.reciprocal.default: "1/({})",
    aten.exp.default: "exp({})",
    aten.tanh.default: "tanh({})",
    aten.sigmoid.default: "σ({})",
    aten.relu.default: "ReLU({})",
    aten.erf.default: "erf({})",
    aten.log.default: "log({})",
    aten.permute.default: "{}ᵀ",
    aten.abs.default: "|{}|",
    aten.sign.default: "sign({})",
    aten.embedding_dense_backward.default: "Σ {} of the same index",
}
SILENT = {
    *(
        aten.view.default,
        operator_of("_unsafe_view").default,
        aten.expand.default,
        aten.unsqueeze.default,
        aten.squeeze.dims,
    ),
    *(aten.clone.default, aten.alias.default, aten.detach.default, aten.squeeze.dim, aten.squeeze.default),
    *(operator_of("_to_copy").default, aten.slice.Tensor, aten.select.int, aten.unfold.default, aten.reshape.default),
}


def formula(trace: Trace, i: int, depth: int = 4, *, top: bool = True) -> str:  # noqa: C901, PLR0911  # one case a line
    """The value of a node: its operator and, so deep, what it is computed from. Gradients that come in are g."""
    node = trace.nodes[i]
    if not top and (symbol := node.meta.get("custom", {}).get("symbol")):
        return str(symbol)
    if node.op != "call_function":
        return named(trace, i)
    if node.target in SILENT:
        return formula(trace, trace.position[node.args[0]], depth, top=top)
    if not top and not is_backward(node) and (depth == 0 or not _is_inner(trace, i)):
        return named(trace, i)
    if depth == 0:
        return G if is_backward(node) else named(trace, i)
    if node.target is aten.rsqrt.default and _is_norm(trace, i) and not top:
        return "1/σ"
    if node.target in BETWEEN:
        parts = [_part(trace, i, argument, depth) for argument in node.args[:2]]
        return BETWEEN[node.target].join(parts)
    if node.target in AROUND:
        wrap = not AROUND[node.target].endswith(")")
        text = AROUND[node.target].format(_part(trace, i, node.args[0], depth, wrap=wrap))
        return text.removesuffix("ᵀᵀ")
    if node.target is aten.pow.Tensor_Scalar:
        exponent = {1: "", 2: "²", 3: "³"}.get(node.args[1], f"^{node.args[1]:g}")
        return f"{_part(trace, i, node.args[0], depth)}{exponent}"
    if node.target is aten.where.self:
        yes, no = (_part(trace, i, argument, depth, wrap=False) for argument in node.args[1:])
        return f"({yes} where the condition holds, else {no})"
    return named(trace, i)


def _is_inner(trace: Trace, i: int) -> bool:
    """Whether a node of the forward pass is within an operator, not its result."""
    return any(trace.number(user) == trace.number(i) and not is_backward(trace.nodes[user]) for user in trace.users[i])


def _is_norm(trace: Trace, i: int) -> bool:
    return operator(origin_of(trace, i).operator).endswith("norm")


def _part(trace: Trace, i: int, argument: Any, depth: int, *, wrap: bool = True) -> str:
    """An argument of node i: g, if it is a gradient that comes in from another operator."""
    if not isinstance(argument, Node):
        return f"{argument:.6g}" if isinstance(argument, float) else str(argument)
    j = trace.position[argument]
    node = trace.nodes[i]
    while argument.target in SILENT:
        argument = argument.args[0]
        j = trace.position[argument]
    if is_backward(argument) and is_backward(node) and trace.number(j) != trace.number(i):
        return G
    text = formula(trace, j, depth - 1, top=False)
    return f"({text})" if wrap and any(sign in text for sign in (" + ", " - ", " · ", " / ")) else text


def named(trace: Trace, i: int) -> str:  # noqa: PLR0911  # one case a line
    """A value by name: an argument; the output of a module; an operator's."""
    node = trace.nodes[i]
    if node.op == "placeholder":
        return f"`{trace.names[i]}`"
    if node.op != "call_function":
        return "a constant"
    if node.target in (aten.full.default, aten.full_like.default, aten.scalar_tensor.default, aten.zeros.default):
        constant = next((a for a in node.args if isinstance(a, int | float)), 0)
        return f"{constant:g}"
    if node.target in SILENT or node.target is aten.permute.default:
        inner = named(trace, trace.position[node.args[0]])
        return f"{inner}ᵀ".removesuffix("ᵀᵀ") if node.target is aten.permute.default else inner
    role = node.meta.get("custom", {}).get("role")
    if role:
        return str(role)
    origin = origin_of(trace, i)
    if node.target is aten.rsqrt.default and _is_norm(trace, i):
        return "1/σ"
    if is_backward(node):
        return f"the gradient to the {operator(origin.operator)}{of(origin.module)}"
    return f"the {operator(origin.operator)}{of(origin.module)}"


def of(module: tuple[str, str]) -> str:
    """Of which module, if of one with a name."""
    return f" of `{module[0]}`" if module[0] else ""
