"""Another number in place of a constant of an operator."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import permutations
from math import isfinite, sqrt
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from torch_ref.diagnosis.graph.change import CONSTANTS, Change
from torch_ref.diagnosis.graph.nodes import Values, trusts_integers
from torch_ref.diagnosis.graph.trace import Trace
from torch_ref.torch_private import operator_of

aten: Any = torch.ops.aten
SHAPES = {  # what they say of shapes has edits of its own
    *(aten.view.default, operator_of("_unsafe_view").default, aten.expand.default, aten.unsqueeze.default),
    *(aten.squeeze.dim, aten.squeeze.dims, aten.permute.default, aten.unfold.default, aten.sum.dim_IntList),
    *(aten.mean.dim, aten.slice.Tensor, aten.select.int, aten.slice_scatter.default, aten.full.default),
    aten.select_scatter.default,
    *(aten.flip.default, aten.index_put.default, operator_of("_to_copy").default),
}


SIZES = 2, 3, 4, 8  # times as many, or as few: of all heads, say, not of one
EPSILONS = 1e-3, 1e-5, 1e-6, 1e-8, 1e-12


def statistics(node: Node) -> Iterator[Change]:
    """At the variance and the mean of a norm: 1 and 0, as of a module that was never trained."""
    if node.target is aten.var_mean.correction:
        yield Change(CONSTANTS, "no statistics", (), _of_none)


def _of_none(trace: Trace, values: Values, node: Node) -> tuple[Tensor, Tensor]:
    variance, mean = values[trace.position[node]]
    return torch.ones_like(variance), torch.zeros_like(mean)


def constants(node: Node) -> Iterator[Change]:
    """Another number in place of each constant, one that comes from it or one of the usual."""
    if node.target in SHAPES:
        return
    tags = getattr(node.target, "tags", ())
    is_known = torch.Tag.core in tags or torch.Tag.pointwise in tags or node.target is aten.var_mean.correction
    is_checked = is_known and not trusts_integers(node)
    given: list[tuple[int | str, Any]] = [*enumerate(node.args), *node.kwargs.items()]
    for key, constant in given:
        for other in others(constant) if is_checked or isinstance(constant, float) else ():
            yield Change(CONSTANTS, "constant", (key, other), partial(_with_constant, key, other))


def _with_constant(key: int | str, other: Any, trace: Trace, values: Values, node: Node) -> Any:
    if isinstance(key, int) and isinstance(node.args[key], Node):
        raise TypeError("no constant here")
    if isinstance(key, str):
        return trace.call(node, values, **{key: other(node.kwargs[key])})
    return trace.call(node, values, [other(a) if j == key else a for j, a in enumerate(node.args)])


def others(constant: Any) -> list[Callable[[Any], Any]]:
    """What may stand there instead, as functions of what does: a size is another one in another case."""
    if isinstance(constant, bool):
        return [lambda c: not c]
    if isinstance(constant, int):
        whole = [n for n in (0, 1, -100) if n != constant]
        return [lambda c: c - 1, lambda c: c + 1, lambda c: -c, lambda c: 2 * c, *map(_always, whole)]
    if isinstance(constant, float):
        numbers = [digit * scale for scale in (1, 0.1, 0.01, 1e-3) for digit in (1, 2, 5)]
        numbers = [n for n in dict.fromkeys((0.0, *numbers, *EPSILONS)) if n != constant]
        inverse = [lambda c: 1 / c] if constant else []
        is_root = isfinite(constant) and not (1000 * constant).is_integer()  # a scale 1/√d, say: of another size d then
        return [
            *(_times(k**power) for k in SIZES for power in (-0.5, -0.25, 0.25, 0.5) if is_root),
            *(lambda c: -c, lambda c: 2 * c, lambda c: c / 2, lambda c: c * c, lambda c: sqrt(abs(c))),
            *(lambda c: 1 - c, *inverse, *map(_always, numbers)),
        ]
    if isinstance(constant, list | tuple) and constant and all(type(item) is int for item in constant):
        return _other_lists(tuple(constant))
    return []


def _times(factor: float) -> Callable[[Any], float]:
    return lambda c: c * factor


def _always(number: float) -> Callable[[Any], float]:
    return lambda _: number


def _other_lists(constant: tuple[int, ...]) -> list[Callable[[Any], Any]]:
    """Other orders, for a permutation; one more on one side and one less on the other, for a padding."""
    orders = [order for order in permutations(range(len(constant))) if len(constant) < 5]
    found: list[Callable[[Any], Any]] = [lambda c, o=order: [c[i] for i in o] for order in orders[1:]]  # type: ignore[misc]  # mypy: default of a lambda
    steps = [lambda c, s=step: [i + s * (-1) ** k for k, i in enumerate(c)] for step in (1, -1)]
    return found + steps
