"""A factor too many or too few that is a value of the network, or a power of one."""

from collections.abc import Iterator, Sequence
from functools import partial

from torch import Tensor
from torch.fx import Node

from torch_ref.diagnosis.graph.change import OTHERS, Change
from torch_ref.diagnosis.graph.nodes import Values, is_backward, is_real
from torch_ref.diagnosis.graph.trace import Trace

POWERS = -2, -1, 1, 2


def stray(trace: Trace, i: int) -> Iterator[Change]:
    """A gradient times each power of each value that is known there and can be broadcast to it."""
    shape = trace.values[i].shape
    for j in [*range(len(trace.names)), *trace.everything]:
        value = trace.values[j]
        known = j < i and is_real(value) and not is_backward(trace.nodes[j])
        if known and 0 < value.dim() <= len(shape) and broadcasts(value.shape, shape) and not _is_upstream(trace, j):
            for power in POWERS:
                yield Change(OTHERS, "stray", (j, power), partial(_times, j, power))


def broadcasts(given: Sequence[int], shape: Sequence[int]) -> bool:
    """Whether what has the one shape can be spread over the other."""
    return all(a in (1, b) for a, b in zip(reversed(given), reversed(shape), strict=False))


def _is_upstream(trace: Trace, j: int) -> bool:
    return j < len(trace.names) and trace.names[j] in trace.case.upstream


def _times(j: int, power: int, trace: Trace, values: Values, node: Node) -> Tensor:
    return values[trace.position[node]] * values[j] ** power  # type: ignore[no-any-return]
