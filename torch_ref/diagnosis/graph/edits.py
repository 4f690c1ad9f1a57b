"""What may have gone wrong at one node: its operator left out, or another one in its place, of the same shape."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from torch_ref.diagnosis.graph.change import CONSTANTS, SIMPLE, Change
from torch_ref.diagnosis.graph.constants import constants, statistics
from torch_ref.diagnosis.graph.divisors import divisors
from torch_ref.diagnosis.graph.indices import indices
from torch_ref.diagnosis.graph.nodes import Values, is_real
from torch_ref.diagnosis.graph.repeated import repeated
from torch_ref.diagnosis.graph.splits import splits
from torch_ref.diagnosis.graph.sums import sums
from torch_ref.diagnosis.graph.trace import Trace
from torch_ref.diagnosis.graph.windows import windows

aten: Any = torch.ops.aten
PRODUCTS = {aten.mul.Tensor}
MATRIX_PRODUCTS = {aten.mm.default, aten.bmm.default}


def edits(trace: Trace, node: Node) -> Iterator[Change]:
    """Every change of the operator at this node."""
    value = trace.values[trace.position[node]]
    if not isinstance(value, Tensor):  # a variance and its mean, say
        yield from statistics(node)
        yield from constants(node)
        return
    if value.dtype is torch.bool:
        for always in (True, False):
            yield Change(SIMPLE, "always", (always,), partial(_constantly, always))
        yield Change(SIMPLE, "inverted", (), lambda trace, values, node: ~values[trace.position[node]])
    if is_real(value):
        yield Change(SIMPLE, "cut", (), lambda trace, values, node: torch.zeros_like(values[trace.position[node]]))
        yield Change(SIMPLE, "negated", (), lambda trace, values, node: -values[trace.position[node]])
        yield from _passed_on(trace, node, value)
    yield from _special(node)
    yield from sums(trace, node, value)
    yield from windows(trace, node)
    yield from repeated(node)
    yield from splits(trace, node)
    yield from constants(node)
    yield from indices(trace, node)
    yield from divisors(trace, node)
    yield from _slices(trace, node)


def _constantly(always: bool, trace: Trace, values: Values, node: Node) -> Tensor:  # noqa: FBT001  # a partial
    return torch.full_like(values[trace.position[node]], always)


def _passed_on(trace: Trace, node: Node, value: Tensor) -> Iterator[Change]:
    """The operator left out, one argument taken for its result; or an argument applied again."""
    for j, argument in enumerate(node.args):
        if not isinstance(argument, Node) or not is_real(given := trace.values[trace.position[argument]]):
            continue
        if node.target is aten.sub.Tensor and j == 1 and given.shape == value.shape:
            yield Change(SIMPLE, "passed on", (j,), lambda t, v, n: -t.arg(n, 1, v))
        elif given.numel() == value.numel():
            yield Change(SIMPLE, "passed on", (j,), partial(_argument, j))
        elif given.dim() <= value.dim() and _broadcasts(given, value):
            yield Change(SIMPLE, "passed on", (j,), partial(_argument, j, spread=True))
        yield from _reused(node, j, square=given.dim() > 1 and given.shape[-1] == given.shape[-2])


def _reused(node: Node, j: int, *, square: bool) -> Iterator[Change]:
    """An argument with the other sign, applied twice, or not transposed."""
    if node.target in (aten.add.Tensor, aten.sub.Tensor) and j == 1:
        sign = -2 if node.target is aten.add.Tensor else 2
        yield Change(SIMPLE, "other sign", (), partial(_plus, 1, sign))
    if node.target in PRODUCTS:
        yield Change(SIMPLE, "twice", (j,), partial(_times, j))
    if node.target is aten.div.Tensor and j == 1:
        yield Change(SIMPLE, "twice", (j,), lambda t, v, n: v[t.position[n]] / t.arg(n, 1, v))
        yield Change(SIMPLE, "multiplied", (), lambda t, v, n: t.arg(n, 0, v) * t.arg(n, 1, v))
    if node.target in MATRIX_PRODUCTS and square:
        yield Change(SIMPLE, "not transposed", (j,), partial(_with_argument, j, lambda x: x.mT))


def _plus(j: int, sign: int, trace: Trace, values: Values, node: Node) -> Tensor:
    return values[trace.position[node]] + sign * trace.arg(node, j, values)  # type: ignore[no-any-return]


def _times(j: int, trace: Trace, values: Values, node: Node) -> Tensor:
    return values[trace.position[node]] * trace.arg(node, j, values)  # type: ignore[no-any-return]


def _argument(j: int, trace: Trace, values: Values, node: Node, *, spread: bool = False) -> Tensor:
    shape, argument = values[trace.position[node]].shape, trace.arg(node, j, values)
    return argument.expand(shape) if spread else argument.reshape(shape)  # type: ignore[no-any-return]


def _broadcasts(given: Tensor, value: Tensor) -> bool:
    return given.dim() > 0 and all(
        a in (1, b) for a, b in zip(reversed(given.shape), reversed(value.shape), strict=False)
    )


def _with_argument(j: int, change: Any, trace: Trace, values: Values, node: Node) -> Any:
    """The operator with one argument changed."""
    return trace.call(
        node, values, [change(trace.arg(node, i, values)) if i == j else a for i, a in enumerate(node.args)]
    )


def _special(node: Node) -> Iterator[Change]:
    """What may go wrong with one operator and no other."""
    if node.target in (aten.permute.default, aten.clone.default):
        yield Change(SIMPLE, "reshaped", (), partial(_argument, 0))
    if node.target is aten.where.self:
        for j in (1, 2):
            yield Change(SIMPLE, "passed on", (j,), partial(_argument_spread, j))
        yield Change(SIMPLE, "condition swapped", (), lambda t, v, n: torch.where(*(t.arg(n, j, v) for j in (0, 2, 1))))
    yield from _strides(node)
    if node.target in (aten.rsqrt.default, aten.sqrt.default) and _is_sum_with_constant(node.args[0]):
        yield Change(CONSTANTS, "constant outside the root", (), _outside)


def _strides(node: Node) -> Iterator[Change]:
    """A step of 1 where another is meant; indices that are others'."""
    if node.target is aten.unfold.default:
        yield Change(CONSTANTS, "stride ignored", (), _step_1)
    if node.target is aten.slice.Tensor and len(node.args) > 4 and node.args[4] != 1:
        yield Change(CONSTANTS, "stride ignored", (), _every)
    if node.target is aten.slice_scatter.default and len(node.args) > 5:
        end = lambda t, v, n: t.arg(n, 1, v).shape[n.args[2]]  # noqa: E731
        yield Change(CONSTANTS, "stride ignored", (), lambda t, v, n: t.call(n, v, (*n.args[:3], 0, end(t, v, n), 1)))  # type: ignore[no-untyped-call]  # torch leaves it untyped
    for j, argument in enumerate(node.args):  # a fixed order of tokens, say, in place of the tokens
        if node.target in (aten.embedding.default, aten.gather.default) and isinstance(argument, Node) and j:
            yield Change(CONSTANTS, "indices shifted", (), lambda t, v, n: v[t.position[n]].roll(1, 0))


def _step_1(trace: Trace, values: Values, node: Node) -> Tensor:
    unfolded = trace.call(node, values, [*node.args[:3], 1])
    return unfolded.narrow(node.args[1], 0, values[trace.position[node]].shape[node.args[1]])  # type: ignore[no-any-return]


def _every(trace: Trace, values: Values, node: Node) -> Tensor:
    """As many elements, but one after another."""
    source, axis = trace.arg(node, 0, values), node.args[1]
    return source.narrow(axis, node.args[2], values[trace.position[node]].shape[axis])  # type: ignore[no-any-return]


def _argument_spread(j: int, trace: Trace, values: Values, node: Node) -> Tensor:
    value, like = trace.arg(node, j, values), values[trace.position[node]]
    return torch.as_tensor(value, dtype=like.dtype).expand(like.shape)


def _is_sum_with_constant(argument: Any) -> bool:
    sums = aten.add.Tensor, aten.add.Scalar
    return isinstance(argument, Node) and argument.target in sums and not isinstance(argument.args[1], Node)


def _outside(trace: Trace, values: Values, node: Node) -> Tensor:
    inner = node.args[0]
    root: Tensor = trace.arg(inner, 0, values).sqrt() + inner.args[1]  # type: ignore[union-attr, arg-type]  # a node
    return 1 / root if node.target is aten.rsqrt.default else root


def _slices(trace: Trace, node: Node) -> Iterator[Change]:
    """A slice that begins elsewhere."""
    if node.target is aten.slice.Tensor and len(node.args) > 3:
        arguments: Any = node.args
        source, axis, low, high = arguments[:4]
        size = trace.values[trace.position[source]].shape[axis]
        for shift in range(-low, size - min(high, size) + 1):
            if shift and abs(shift) < 9:
                yield Change(CONSTANTS, "another slice", (axis, shift), partial(_shifted, shift))


def _shifted(shift: int, trace: Trace, values: Values, node: Node) -> Tensor:
    source, axis, low, high = node.args[:4]
    high = min(high, trace.values[trace.position[source]].shape[axis])  # type: ignore[index, type-var]  # a node
    return trace.call(node, values, [source, axis, low + shift, high + shift])  # type: ignore[operator, no-any-return]
