"""The element that the data point at, the target's class or the sample's own pair, computed by another formula."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor
from torch.fx import Node

from torch_ref.diagnosis.graph.change import OTHERS, Change
from torch_ref.diagnosis.graph.formulas import formula
from torch_ref.diagnosis.graph.influence import Influence
from torch_ref.diagnosis.graph.naming import subject
from torch_ref.diagnosis.graph.nodes import Values, is_real
from torch_ref.diagnosis.graph.stray import fitting, known, product
from torch_ref.diagnosis.graph.trace import Trace

PAIR = ""  # of a sample with itself, in a square of all pairs
ZERO, ALONE, NEGATED, TIMES = range(4)


def own(trace: Trace, i: int, influence: Influence) -> Iterator[Change]:
    """Of a gradient, the own element of each row zero, all there is, of the other sign, or times what is known."""
    value, changes = trace.values[i], []
    for name in _indices(trace, value) if is_real(value) else ():
        details = [(name, what, -1) for what in (ZERO, ALONE, NEGATED)]
        details += [(name, TIMES, j) for j in known(trace, value.shape)]
        changes += [Change(OTHERS, "own", detail, partial(_made, *detail)) for detail in details]
    yield from fitting(trace, i, influence, changes)


def _indices(trace: Trace, value: Tensor) -> list[str]:
    """The data that have an index for each row; the pairs of a square."""
    batch = trace.case.sizes.get("batch", 0)
    if value.dim() != 2 or value.shape[0] != batch:
        return []
    given = {name: trace.values[trace.names.index(name)] for name in trace.case.given}
    found = [name for name, index in given.items() if _points(index, value)]
    return found + [PAIR] * (value.shape[1] == batch > 1)


def _points(index: Tensor, value: Tensor) -> bool:
    is_whole = not index.is_floating_point() and index.dtype is not torch.bool and index.shape == value.shape[:1]
    return is_whole and bool(((index >= 0) & (index < value.shape[1])).all())


def _made(name: str, what: int, j: int, trace: Trace, values: Values, node: Node) -> Tensor:
    value: Tensor = values[trace.position[node]]
    index = trace.values[trace.names.index(name)] if name else torch.arange(len(value))
    at = torch.zeros_like(value, dtype=torch.bool).scatter(1, index[:, None], torch.ones_like(value, dtype=torch.bool))
    others = {ZERO: 0 * value, NEGATED: -value, TIMES: product(value, values[j]) if j >= 0 else value}
    return torch.where(at, value, 0) if what == ALONE else torch.where(at, others[what], value)


def told(trace: Trace, i: int, name: str, what: int, j: int) -> str:
    """In a sentence."""
    which = f"the element that `{name}` points at" if name else "the element of a sample with itself"
    done = {ZERO: "is zero", ALONE: "is all there is, the rest is zero", NEGATED: "has the other sign"}
    times = f"is multiplied by {formula(trace, j, 3, top=False)} too often" if j >= 0 else ""
    return f"of {subject(trace, i)}, in each row {which} {done.get(what, times)}"
