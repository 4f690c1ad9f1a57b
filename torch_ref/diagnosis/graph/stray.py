"""A factor that does not belong there: a value of the network, or a power of one; one value in another's place."""

from collections.abc import Iterator, Sequence
from functools import cache, partial
from itertools import compress
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from torch_ref.diagnosis.graph.change import OTHERS, SCALED, Change
from torch_ref.diagnosis.graph.constants import constants
from torch_ref.diagnosis.graph.influence import Influence
from torch_ref.diagnosis.graph.nodes import Values, is_backward, is_real
from torch_ref.diagnosis.graph.signs import SILENT
from torch_ref.diagnosis.graph.slopes import AFTER, FORMULAS
from torch_ref.diagnosis.graph.sums import SUM_OPERATORS
from torch_ref.diagnosis.graph.trace import Trace

ELEMENTS = 2**20  # of what is computed at once
POWERS = -2, -1, 1, 2
HALVES = -0.5, 0.5  # of what is positive
ROOTS = -1.5, -1, -0.5, 0.5, 1, 1.5  # of a sum with an ε


def stray(trace: Trace, i: int, influence: Influence) -> Iterator[Change]:
    """A gradient times each power of each value that is known there and can be broadcast to it; times its slope."""
    changes = []
    for j in known(trace, trace.values[i].shape):
        value = trace.values[j]
        powers = (*POWERS, *(HALVES if value.min() > 0 else ())) if is_real(value) else (1,)
        for power in powers:
            rank = OTHERS if isinstance(power, int) else SCALED
            changes.append(Change(rank, "stray", (j, power), partial(_times, j, power)))
        names = AFTER if is_real(value) and value.shape == trace.values[i].shape else ()
        changes += [Change(OTHERS, "stray slope", (j, name), partial(_times_slope, j, name)) for name in names]
    if trace.nodes[i].target in SUM_OPERATORS:
        of_terms = trace.arg(trace.nodes[i], 0, trace.values)
        some = known(trace, of_terms.shape) if is_real(of_terms) else []
        changes += [Change(OTHERS, "stray term", (j, 1), partial(_of_products, j)) for j in some]
    yield from fitting(trace, i, influence, changes)


def in_place_of(trace: Trace, i: int, influence: Influence) -> Iterator[Change]:
    """A gradient times each power of the ratio of two values of one shape: the one stands where the other belongs."""
    real = [j for j in known(trace, trace.values[i].shape) if is_real(trace.values[j])]
    for j in real:
        alike = [k for k in real if k != j and trace.values[k].shape == trace.values[j].shape]
        details = [(j, k, power) for k in alike for power in (1, 2)]
        changes = [Change(OTHERS, "in place of", detail, partial(_times_ratio, *detail)) for detail in details]
        yield from fitting(trace, i, influence, changes)


def fitting(trace: Trace, i: int, influence: Influence, changes: list[Change]) -> Iterator[Change]:
    """The changes of a gradient that may give what the candidate has there; tried many at once, for they are many."""
    many = max(1, ELEMENTS // max(1, trace.values[i].numel()))
    for start in range(0, len(changes), many):
        some = changes[start : start + many]
        made = [change.value(trace, trace.values, trace.nodes[i]) for change in some]
        yield from compress(some, influence.fitting(i, torch.stack(made)))


def another_constant(trace: Trace, i: int) -> Iterator[Change]:
    """A gradient times what another constant in a sum of the forward pass would change: an ε that one term lacks."""
    for j in known(trace, trace.values[i].shape):
        for change in constants(trace.nodes[j]) if _is_sum_with_constant(trace.nodes[j]) else ():
            for power in ROOTS:
                detail = (j, *change.detail)
                yield Change(OTHERS, "constant in a term", detail, partial(_times_other, j, change.value, power))


@cache
def known(trace: Trace, shape: tuple[int, ...]) -> list[int]:
    """What the forward pass knows that can be spread over this shape; what is only reshaped, once."""
    found: dict[int, Any] = {}
    seen: dict[Any, int] = {}
    for j in [*range(len(trace.names)), *trace.everything]:
        value, node = trace.values[j], trace.nodes[j]
        if not _is_factor(value) or is_backward(node) or _is_upstream(trace, j) or not value.dim():
            continue
        if _spread(value, shape) is not None:
            before = seen.get(content := (value.shape, value.numpy().tobytes()))
            if before is not None and trace.number(before) == trace.number(j):
                del found[before]  # a step within the operator
            elif before is not None and node.target in SILENT:
                continue
            found[j] = seen[content] = j
    return list(found)


def _is_factor(value: Any) -> bool:
    """Real numbers, or a mask: conditions, or integers that are 0 and 1."""
    is_mask = isinstance(value, Tensor) and not value.is_floating_point() and not value.is_complex()
    return is_real(value) or (is_mask and bool(((value == 0) | (value == 1)).all()))


def _spread(value: Tensor, shape: Sequence[int]) -> Tensor | None:
    """What can be spread over a shape, by its last axes as torch does it, or by its first: a weight of each sample."""
    if value.dim() <= len(shape) and broadcasts(value.shape, shape):
        return value
    is_of_first = value.dim() < len(shape) and value.shape == shape[: value.dim()]
    return value.reshape(*value.shape, *[1] * (len(shape) - value.dim())) if is_of_first else None


def product(gradient: Tensor, factor: Tensor) -> Tensor:
    """A gradient times what can be spread over it."""
    spread = _spread(factor, gradient.shape)
    return gradient * (factor if spread is None else spread)


def broadcasts(given: Sequence[int], shape: Sequence[int]) -> bool:
    """Whether what has the one shape can be spread over the other."""
    return all(a in (1, b) for a, b in zip(reversed(given), reversed(shape), strict=False))


def _is_upstream(trace: Trace, j: int) -> bool:
    return j < len(trace.names) and trace.names[j] in trace.case.upstream


def _is_sum_with_constant(node: Node) -> bool:
    return "add" in str(node.target) and isinstance(node.args[1], float)


def _times(j: int, power: float, trace: Trace, values: Values, node: Node) -> Tensor:
    return product(values[trace.position[node]], values[j] if power == 1 else values[j] ** power)


def _of_products(j: int, trace: Trace, values: Values, node: Node) -> Tensor:
    """A sum, or a mean, of terms that are multiplied by a value."""
    terms = product(trace.arg(node, 0, values), values[j])
    return trace.call(node, values, [terms, *node.args[1:]])  # type: ignore[no-any-return]


def _times_slope(j: int, name: str, trace: Trace, values: Values, node: Node) -> Tensor:
    return values[trace.position[node]] * FORMULAS[name](values[j], values[j])  # type: ignore[no-any-return]


def _times_ratio(j: int, k: int, power: int, trace: Trace, values: Values, node: Node) -> Tensor:
    return product(values[trace.position[node]], (values[j] / values[k]) ** power)


def _times_other(j: int, change: Any, power: float, trace: Trace, values: Values, node: Node) -> Tensor:
    other = change(trace, values, trace.nodes[j])
    return product(values[trace.position[node]], (other / values[j]) ** power)
