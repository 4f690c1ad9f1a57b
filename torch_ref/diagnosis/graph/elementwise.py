"""Another elementwise function in the place of one: torch's operators, of whatever network. Not the options of ours."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor
from torch.fx import Node
from torch.nn import functional as F

from torch_ref.diagnosis.graph.change import SUMS, Change
from torch_ref.diagnosis.graph.nodes import Values, is_backward, is_real
from torch_ref.diagnosis.graph.origin import origin_of
from torch_ref.diagnosis.graph.slopes import DERIVATIVES
from torch_ref.diagnosis.graph.trace import Trace
from torch_ref.diagnosis.graph.vocabulary import operator

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
    **{
        f"a leaky ReLU of slope {a}": partial(F.leaky_relu, negative_slope=a) for a in (0.01, 0.05, 0.1, 0.2, 0.25, 0.3)
    },
    "ELU": F.elu,
    "SELU": F.selu,
    "ReLU6": F.relu6,
    "a clamp to -1 and 1": F.hardtanh,
    "x σ(1.702 x)": lambda x: x * (1.702 * x).sigmoid(),
    "x / (1 + |x|)": F.softsign,
}


def elementwise(trace: Trace, i: int) -> Iterator[Change]:
    """Every other of the functions at this node, if it is what an activation gives."""
    if _input_of(trace, i) >= 0:
        for name, function in FUNCTIONS.items():
            yield Change(SUMS, "activation", (name,), partial(_applied, function))


def _input_of(trace: Trace, i: int) -> int:
    """What goes into an activation, if this is its result; or -1."""
    there = [j for j in trace.blocks.get(trace.number(i), ()) if not is_backward(trace.nodes[j])]
    if not there or i != there[-1] or operator(origin_of(trace, i).operator) not in DERIVATIVES:
        return -1
    given = {j for k in there for of in trace.nodes[k].all_input_nodes if (j := trace.position[of]) not in there}
    real = [j for j in given if is_real(trace.values[j]) and trace.values[j].shape == trace.values[i].shape]
    return real[0] if len(real) == 1 else -1


def _applied(function: Callable[[Tensor], Tensor], trace: Trace, values: Values, node: Node) -> Tensor:
    return function(values[_input_of(trace, trace.position[node])])
