"""Data that are not taken as they are given: centered, standardized, normalized, those of the sample before."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor
from torch.fx import Node

from torch_ref.diagnosis.graph.alike import Group
from torch_ref.diagnosis.graph.change import CONSTANTS, Change
from torch_ref.diagnosis.graph.explanation import Way
from torch_ref.diagnosis.graph.nodes import Values, is_real
from torch_ref.diagnosis.graph.trace import Trace

TOLD = {
    Way.FORWARD: "`{}` is {} before it is used, which the reference does not do",
    Way.TAKEN: "the backward pass takes `{}` {}, the forward pass takes it as it is given",
    Way.RECOMPUTED: "the gradients are those for `{}` {}, the result is that for what is given",
    Way.FOR_SOME: "these gradients are computed with `{}` {}, the rest with what is given",
}


def data_changed(trace: Trace, wrong: frozenset[str]) -> Iterator[tuple[Way, Group, Change]]:
    """Each of the data changed, in all that is computed or, if no result is wrong, for the gradients alone."""
    results_wrong = bool(wrong - set(trace.case.differentiated))
    for i, name in enumerate(trace.names):
        if name in trace.case.given and name not in trace.case.upstream and trace.reach[i] and trace.values[i].dim():
            for what, function in _changes(trace.values[i]):
                for way in (Way.FORWARD,) if results_wrong else (Way.TAKEN, Way.RECOMPUTED, Way.FOR_SOME):
                    yield way, (i,), Change(CONSTANTS, "data", (TOLD[way].format(name, what),), partial(_by, function))


def _changes(value: Tensor) -> Iterator[tuple[str, Callable[[Tensor], Tensor]]]:
    """What may be done to the data of a batch, by how that is called."""
    is_measured = is_real(value) and not torch.equal(value, value.round())  # no mask, no labels
    yield "shifted by one sample", lambda x: x.roll(1, 0)
    yield "shifted back by one sample", lambda x: x.roll(-1, 0)
    yield "in the reverse order of samples", lambda x: x.flip(0)
    for axis in range(value.dim()) if is_measured else ():
        yield f"centered (minus its mean along axis {axis})", partial(_centered, axis)
        for n in 0, 1:
            yield f"standardized along axis {axis}{' (by n - 1)' * n}", partial(_standardized, axis, n)
        yield f"divided by its length along axis {axis}", partial(torch.nn.functional.normalize, dim=axis)
    if is_measured and value.dim() > 1:
        yield "centered (minus the mean of all its elements)", lambda x: x - x.mean()


def _centered(axis: int, x: Tensor) -> Tensor:
    return x - x.mean(axis, keepdim=True)


def _standardized(axis: int, correction: int, x: Tensor) -> Tensor:
    size = x.shape[axis]  # of one alone there is no deviation, and torch warns
    deviation: Tensor = x.std(axis, correction=0, keepdim=True) * (size / max(size - correction, 1)) ** 0.5
    return _centered(axis, x) / deviation


def _by(function: Callable[[Tensor], Tensor], trace: Trace, _values: Values, node: Node) -> Tensor:
    return function(trace.values[trace.position[node]])
