"""A factor that is wrong by a number: solved for on one case, predicted on the others."""

from collections.abc import Mapping
from functools import partial

from torch import Tensor
from torch.fx import Node

from torch_ref.diagnosis.factors import Factor, plain
from torch_ref.diagnosis.graph.alike import Group
from torch_ref.diagnosis.graph.change import SCALED, Change
from torch_ref.diagnosis.graph.nodes import Values, is_real
from torch_ref.diagnosis.graph.replaying import replay
from torch_ref.diagnosis.graph.trace import Trace

ENOUGH = 6  # numbers, at least, from which a factor is solved for
POWERS = ((), (("batch", 1),), (("batch", -1),))


def scaled(trace: Trace, group: Group, yours: Mapping[str, Tensor], wrong: frozenset[str]) -> list[Change]:
    """The factor at these nodes that brings the wrong gradients nearest to the candidate's, by powers of the batch."""
    if not is_real(trace.values[group[0]]):
        return []
    without = replay(trace, dict.fromkeys(group, _times_zero), trace.after(group)) or {}
    above = below = count = 0.0
    for name, none in without.items():
        if name in wrong and name in yours and name in trace.case.differentiated:
            direction = trace.values[trace.outputs[name]] - none
            above += float(((yours[name] - none) * direction).sum())
            below += float((direction**2).sum())
            count += none.numel()
    if not below or count < ENOUGH or not abs(above / below - 1) > 1e-6 or abs(above / below) < 1e-9:
        return []
    ratio, changes = above / below, []
    for powers in POWERS:
        unit = Factor(1.0, powers).of(trace.case.sizes)
        factor = Factor(plain(ratio / unit, 1e-9), powers)
        changes.append(Change(SCALED, "scaled", (factor,), partial(_times, factor)))
    return changes


def _times_zero(trace: Trace, values: Values, node: Node) -> Tensor:
    return values[trace.position[node]] * 0  # type: ignore[no-any-return]


def _times(factor: Factor, trace: Trace, values: Values, node: Node) -> Tensor:
    return values[trace.position[node]] * factor.of(trace.case.sizes)  # type: ignore[no-any-return]
