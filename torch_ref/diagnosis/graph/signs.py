"""How torch's operators are written in a formula: between two values, around one, or not at all."""

from collections.abc import Container
from typing import Any

import torch
from torch.fx import Node

from torch_ref.torch_private import operator_of

aten: Any = torch.ops.aten

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
    aten.mv.default: " @ ",
    aten.dot.default: " @ ",
    **dict.fromkeys((aten.logical_or.default, aten.bitwise_or.Tensor), " or "),
    **dict.fromkeys((aten.logical_and.default, aten.bitwise_and.Tensor), " and "),
    **{
        overload: f" {sign} "
        for sign, packet in {"≠": aten.ne, "=": aten.eq, "<": aten.lt, "≤": aten.le, ">": aten.gt, "≥": aten.ge}.items()
        for overload in (packet.Scalar, packet.Tensor)
    },
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
    **dict.fromkeys((aten.logical_not.default, aten.bitwise_not.default), "not {}"),
    aten.sign.default: "sign({})",
    aten.sin.default: "sin({})",
    aten.cos.default: "cos({})",
    aten.cumsum.default: "cumsum({})",
    aten.linalg_vector_norm.default: "‖{}‖",
    aten.embedding_dense_backward.default: "Σ {} of the same index",
}
SILENT = {
    *(aten.view.default, operator_of("_unsafe_view").default, aten.expand.default, aten.unsqueeze.default),
    *(aten.clone.default, aten.alias.default, aten.detach.default, aten.squeeze.dim, aten.squeeze.default),
    *(operator_of("_to_copy").default, aten.slice.Tensor, aten.select.int, aten.unfold.default, aten.reshape.default),
    *(aten.repeat.default, aten.lift_fresh_copy.default, aten.squeeze.dims),
}
VIEWS = {  # of the same elements
    *(aten.view.default, operator_of("_unsafe_view").default, aten.expand.default, aten.unsqueeze.default),
    *(aten.clone.default, aten.alias.default, aten.detach.default, aten.squeeze.dim, aten.squeeze.dims),
    *(aten.reshape.default, aten.permute.default, aten.transpose.int),
}
PICKED = {*(aten.index.Tensor, aten.embedding.default, aten.index_select.default, aten.select.int, aten.slice.Tensor)}


def shown(node: Node, through: Container[Any] = SILENT) -> Node:
    """What a node only shows in another form: what these operators, one after another, were given first."""
    while node.target in through and isinstance(node.args[0], Node):
        node = node.args[0]
    return node
