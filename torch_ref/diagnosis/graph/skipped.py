"""A link of the chain that is skipped: a gradient of further up, as it came, where the one of further down belongs."""

from collections.abc import Iterator
from functools import partial

from torch import Tensor
from torch.fx import Node

from torch_ref.diagnosis.graph.change import OTHERS, Change
from torch_ref.diagnosis.graph.nodes import Values, is_real
from torch_ref.diagnosis.graph.trace import Trace


def skipped(trace: Trace, i: int, gradients: frozenset[int]) -> Iterator[Change]:
    """Each earlier gradient of as many elements in the place of this one."""
    shape = trace.values[i].shape
    for j in sorted(gradients) if i in gradients else ():
        of_another = trace.number(i) != trace.number(j)  # within an operator there are edits that say it better
        if j < i and of_another and is_real(trace.values[j]) and trace.values[j].shape == shape:
            is_above = i in trace.after([j])
            yield Change(OTHERS, "skipped", (j, is_above), partial(_instead, j))


def _instead(j: int, _trace: Trace, values: Values, _node: Node) -> Tensor:
    return values[j]  # type: ignore[no-any-return]
