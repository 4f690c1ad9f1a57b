"""Data of another shape than the predictions: each prediction is compared with each target, not with its own."""

from collections.abc import Iterator

from torch import Tensor
from torch.fx import Node

from torch_ref.diagnosis.graph.alike import Group
from torch_ref.diagnosis.graph.change import SIMPLE, Change
from torch_ref.diagnosis.graph.nodes import Values, is_real
from torch_ref.diagnosis.graph.trace import Trace


def pairs(trace: Trace) -> Iterator[tuple[Group, Change]]:
    """Each of the data that has one number a sample, spread over all samples."""
    batch = trace.case.sizes.get("batch")
    for i, name in enumerate(trace.names):
        value = trace.values[i]
        if name in trace.case.given and is_real(value) and value.shape in ((batch,), (batch, 1)):
            yield (i,), Change(SIMPLE, "all pairs", (name,), _across)


def _across(trace: Trace, _values: Values, node: Node) -> Tensor:
    given: Tensor = trace.values[trace.position[node]]
    return given.mT if given.dim() > 1 else given[:, None]
