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
    for j in sorted(gradients) if i in gradients and _goes_on(trace, i) else ():
        # Within an operator there are edits that say it better.
        of_another = trace.number(i) != trace.number(j) and _goes_on(trace, j)
        if j < i and of_another and is_real(trace.values[j]) and trace.values[j].shape == shape:
            is_above = i in trace.after([j])
            yield Change(OTHERS, "skipped", (j, is_above), partial(_instead, j))


def _goes_on(trace: Trace, i: int) -> bool:
    """Whether a gradient is what an operator gives to those before it, not a step within."""
    return i in trace.ends or any(trace.number(user) != trace.number(i) for user in trace.users[i])


def _instead(j: int, _trace: Trace, values: Values, _node: Node) -> Tensor:
    return values[j]  # type: ignore[no-any-return]
