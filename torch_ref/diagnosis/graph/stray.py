"""A factor that does not belong there: a value of the network, or a power of one; one value in another's place."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import permutations
from typing import Any

from torch import Tensor
from torch.fx import Node

from torch_ref.diagnosis.graph.change import OTHERS, Change
from torch_ref.diagnosis.graph.constants import constants
from torch_ref.diagnosis.graph.nodes import Values, is_backward, is_real
from torch_ref.diagnosis.graph.trace import Trace

POWERS = -2, -1, 1, 2
ROOTS = -1.5, -1, -0.5, 0.5, 1, 1.5  # of a sum with an ε


def stray(trace: Trace, i: int) -> Iterator[Change]:
    """A gradient times each power of each value that is known there and can be broadcast to it."""
    for j in _known(trace, i):
        for power in POWERS:
            yield Change(OTHERS, "stray", (j, power), partial(_times, j, power))


def in_place_of(trace: Trace, i: int) -> Iterator[Change]:
    """A gradient times each power of the ratio of two values of one shape: the one stands where the other belongs."""
    for j, k in permutations(_known(trace, i), 2):
        if trace.values[j].shape == trace.values[k].shape:
            for power in (1, 2):
                yield Change(OTHERS, "in place of", (j, k, power), partial(_times_ratio, j, k, power))


def another_constant(trace: Trace, i: int) -> Iterator[Change]:
    """A gradient times what another constant in a sum of the forward pass would change: an ε that one term lacks."""
    for j in _known(trace, i):
        for change in constants(trace.nodes[j]) if _is_sum_with_constant(trace.nodes[j]) else ():
            for power in ROOTS:
                detail = (j, *change.detail)
                yield Change(OTHERS, "constant in a term", detail, partial(_times_other, j, change.value, power))


def _known(trace: Trace, i: int) -> Iterator[int]:
    shape = trace.values[i].shape
    for j in [*range(len(trace.names)), *trace.everything]:
        value = trace.values[j]
        known = j < i and is_real(value) and not is_backward(trace.nodes[j])
        if known and 0 < value.dim() <= len(shape) and broadcasts(value.shape, shape) and not _is_upstream(trace, j):
            yield j


def broadcasts(given: Sequence[int], shape: Sequence[int]) -> bool:
    """Whether what has the one shape can be spread over the other."""
    return all(a in (1, b) for a, b in zip(reversed(given), reversed(shape), strict=False))


def _is_upstream(trace: Trace, j: int) -> bool:
    return j < len(trace.names) and trace.names[j] in trace.case.upstream


def _is_sum_with_constant(node: Node) -> bool:
    return "add" in str(node.target) and isinstance(node.args[1], float)


def _times(j: int, power: int, trace: Trace, values: Values, node: Node) -> Tensor:
    return values[trace.position[node]] * values[j] ** power  # type: ignore[no-any-return]


def _times_ratio(j: int, k: int, power: int, trace: Trace, values: Values, node: Node) -> Tensor:
    return values[trace.position[node]] * (values[j] / values[k]) ** power  # type: ignore[no-any-return]


def _times_other(j: int, change: Any, power: float, trace: Trace, values: Values, node: Node) -> Tensor:
    other = change(trace, values, trace.nodes[j])
    return values[trace.position[node]] * (other / values[j]) ** power  # type: ignore[no-any-return]
