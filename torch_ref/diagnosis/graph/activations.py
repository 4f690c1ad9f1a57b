"""Another activation in one's place."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node
from torch.nn import functional as F

from torch_ref.diagnosis.graph.change import SUMS, Change
from torch_ref.diagnosis.graph.nodes import Values
from torch_ref.diagnosis.graph.trace import Trace

aten: Any = torch.ops.aten
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "σ": torch.sigmoid,
    "tanh": torch.tanh,
    "ReLU": torch.relu,
    "SiLU": F.silu,
    "GELU": F.gelu,
    "the tanh formula of GELU": lambda x: F.gelu(x, approximate="tanh"),
    "softplus": F.softplus,
    "exp": torch.exp,
    "|x|": torch.abs,
    "x²": torch.square,
}
NODES = (
    *(aten.tanh.default, aten.sigmoid.default, aten.relu.default, aten.exp.default, aten.gelu.default),
    *(aten.silu.default, aten.softplus.default, aten.abs.default),
)


def activations(node: Node) -> Iterator[Change]:
    """Every other activation at this node, if it is one."""
    if node.target in NODES:
        for name, function in ACTIVATIONS.items():
            yield Change(SUMS, "activation", (name,), partial(_applied, function))


def _applied(function: Callable[[Tensor], Tensor], trace: Trace, values: Values, node: Node) -> Tensor:
    return function(trace.arg(node, 0, values))
