"""A size in the place of what is divided by: of all there is, where a mask says what counts."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.fx import Node

from torch_ref.diagnosis.graph.change import SUMS, Change
from torch_ref.diagnosis.graph.naming import argument, axes_of
from torch_ref.diagnosis.graph.nodes import Values
from torch_ref.diagnosis.graph.signs import SILENT
from torch_ref.diagnosis.graph.trace import Trace

aten: Any = torch.ops.aten
Size: TypeAlias = Callable[[Trace], float]
TERMS, OF_ONE = "terms", "terms of one sample"
COUNTS = aten.sum.dim_IntList, aten.sum.default, aten.count_nonzero.default, aten.count_nonzero.dim_IntList
LIMITED = {aten.clamp.default, aten.clamp_min.default, aten.add.Tensor, aten.maximum.default, *SILENT}  # 1 or more, say


def divisors(trace: Trace, node: Node) -> Iterator[Change]:
    """The batch, the number of elements of what is given, or of what is summed, in the place of a divisor."""
    if node.target is not aten.div.Tensor or not isinstance(divisor := node.args[1], Node):
        return
    i, is_number = counted(trace, node), trace.values[trace.position[divisor]].numel() == 1
    names = [name for name in trace.case.given if name not in trace.case.upstream]
    sizes: dict[str, Size] = {"batch": _batch, **{name: partial(_elements, name) for name in names}}
    if i >= 0:
        sizes[TERMS] = partial(_terms, i)
        sizes |= {OF_ONE: lambda t: _terms(i, t) / _batch(t)} if is_number else {}
    for name, size in sizes.items() if i >= 0 or is_number else ():
        yield Change(SUMS, "divided by a size", (name, i), partial(_by, size))


def counted(trace: Trace, node: Node) -> int:
    """The sum that a divisor is, but for a limit or an ε; -1, if it is none."""
    divisor: Any = node.args[1]
    while divisor.target in LIMITED and len(divisor.all_input_nodes) <= 2:
        inputs = [of for of in divisor.all_input_nodes if trace.values[trace.position[of]].numel() > 1]
        if not (inputs := inputs or divisor.all_input_nodes[:1]):
            return -1
        divisor = inputs[0]
    return trace.position[divisor] if divisor.target in COUNTS else -1


def _batch(trace: Trace) -> float:
    return trace.case.sizes["batch"]


def _elements(name: str, trace: Trace) -> float:
    return trace.case.arguments[name].size


def _terms(i: int, trace: Trace) -> float:
    """How many each element of a sum has."""
    summed: Tensor = trace.arg(trace.nodes[i], 0, trace.values)
    return summed.numel() / trace.values[i].numel()


def _by(size: Size, trace: Trace, values: Values, node: Node) -> Tensor:
    return trace.arg(node, 0, values) / size(trace)  # type: ignore[no-any-return]


def divided(trace: Trace, i: int, name: str, k: int) -> str:
    """name: of a size, of what is given, or of terms; k: the sum that belongs there, or -1."""
    right = argument(trace, i, 1)
    if k >= 0 and right.startswith("the "):
        right = f"Σ {_summed(trace, k)}"
    if name == "batch":
        return f"divided by the batch, not by {right}"
    if name in trace.case.arguments:
        return f"divided by the number of elements of `{name}`, not by {right}"
    node = trace.nodes[k]
    axes: Any = node.args[1] if len(node.args) > 1 else ()
    dim = trace.values[trace.position[node.all_input_nodes[0]]].dim()
    along = f" along {axes_of(trace, k, [axis % dim for axis in axes], summed=True)}" if axes else ""
    one = " of one sample" if name == OF_ONE else ""
    return f"divided by the number of all elements{one} of {_summed(trace, k)}{along}, not by {right}"


def _summed(trace: Trace, k: int) -> str:
    text = argument(trace, k, 0)
    return f"({text})" if (" " in text and not text.endswith("`")) or " ≠ " in text else text
