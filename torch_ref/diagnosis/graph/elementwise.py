"""Another elementwise function in the place of one: torch's operators, of whatever network. Not the options of ours."""

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
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
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
OPERATORS = (
    *(aten.tanh.default, aten.sigmoid.default, aten.relu.default, aten.exp.default, aten.gelu.default),
    *(aten.silu.default, aten.softplus.default, aten.abs.default),
)


def elementwise(node: Node) -> Iterator[Change]:
    """Every other of the functions at this node, if it is an activation."""
    if node.target in OPERATORS:
        for name, function in FUNCTIONS.items():
            yield Change(SUMS, "activation", (name,), partial(_applied, function))


def _applied(function: Callable[[Tensor], Tensor], trace: Trace, values: Values, node: Node) -> Tensor:
    return function(trace.arg(node, 0, values))
