"""An index in the place of another: rows that are taken from, or added up at, where they do not belong."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from torch_ref.diagnosis.graph.change import CONSTANTS, Change
from torch_ref.diagnosis.graph.nodes import Values
from torch_ref.diagnosis.graph.trace import Trace

KINDS = torch.int64, torch.int32


def indices(trace: Trace, node: Node) -> Iterator[Change]:
    """Each index of this node replaced by each other one of as many numbers that was known before."""
    i = trace.position[node]
    for source in node.all_input_nodes:
        taken = trace.position[source]
        if is_index(right := trace.values[taken]):
            found = [right]
            for other in range(i):
                value = trace.values[other]
                if (
                    is_index(value)
                    and value.numel() == right.numel()
                    and (trace.reach[other] or other < len(trace.names))
                ):
                    value = value.reshape(right.shape)
                    if not any(torch.equal(value, known) for known in found):
                        found.append(value)
                        yield Change(CONSTANTS, "another index", (taken, other), partial(_with, taken, other))


def is_index(value: Any) -> bool:
    """Whether these are several integers."""
    return isinstance(value, Tensor) and value.dtype in KINDS and value.numel() > 1


def _with(taken: int, other: int, trace: Trace, values: Values, node: Node) -> Any:
    values = values.copy()
    values[taken] = values[other].reshape(values[taken].shape)
    return trace.call(node, values)
