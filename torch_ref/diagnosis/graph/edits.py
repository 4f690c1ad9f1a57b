"""What may have gone wrong at one node: its operator left out, or another one in its place, of the same shape."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, combinations, permutations
from math import sqrt
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from torch_ref.diagnosis.graph.change import CONSTANTS, SIMPLE, SUMS, Change
from torch_ref.diagnosis.graph.trace import Trace, Values, is_real

aten: Any = torch.ops.aten
PRODUCTS = {aten.mul.Tensor}
MATRIX_PRODUCTS = {aten.mm.default, aten.bmm.default}
SUM_OPERATORS: dict[Any, Any] = {aten.sum.dim_IntList: torch.sum, aten.mean.dim: torch.mean}
SHAPES = {  # what they say of shapes has edits of its own
    *(aten.view.default, aten._unsafe_view.default, aten.expand.default, aten.unsqueeze.default),  # noqa: SLF001  # operators
    *(aten.squeeze.dim, aten.squeeze.dims, aten.permute.default, aten.unfold.default, aten.sum.dim_IntList),
    *(aten.mean.dim, aten.slice.Tensor, aten.select.int, aten.slice_scatter.default, aten.full.default),
    *(aten.index_put.default, aten._to_copy.default),  # noqa: SLF001  # likewise
}
EPSILONS = 1e-3, 1e-5, 1e-6, 1e-8, 1e-12


def edits(trace: Trace, node: Node) -> Iterator[Change]:
    """Every change of the operator at this node."""
    value = trace.values[trace.position[node]]
    if not isinstance(value, Tensor):  # a variance and its mean, say
        yield from _constants(node)
        return
    if value.dtype is torch.bool:
        for always in (True, False):
            yield Change(SIMPLE, "always", (always,), partial(_constantly, always))
    if is_real(value):
        yield Change(SIMPLE, "cut", (), lambda trace, values, node: torch.zeros_like(values[trace.position[node]]))
        yield Change(SIMPLE, "negated", (), lambda trace, values, node: -values[trace.position[node]])
        yield from _passed_on(trace, node, value)
    yield from _special(node)
    yield from _sums(trace, node, value)
    yield from _constants(node)
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


def _signed(j: int, sign: int, trace: Trace, values: Values, node: Node) -> Tensor:
    return sign * trace.arg(node, j, values)  # type: ignore[no-any-return]


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
    if node.target in (aten.index_put.default, aten._unsafe_index_put.default) and len(node.args) > 3:  # noqa: SLF001  # an operator
        yield Change(SIMPLE, "overwritten", (), lambda t, v, n: t.call(n, v, (*n.args[:3], False)))
    if node.target is aten.embedding_dense_backward.default:
        yield Change(SIMPLE, "overwritten", (), _last_overwrites)
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
    if node.target is aten.slice_scatter.default and len(node.args) > 5:
        end = lambda t, v, n: t.arg(n, 1, v).shape[n.args[2]]  # noqa: E731
        yield Change(CONSTANTS, "stride ignored", (), lambda t, v, n: t.call(n, v, (*n.args[:3], 0, end(t, v, n), 1)))  # type: ignore[no-untyped-call]  # torch leaves it untyped
    for j, argument in enumerate(node.args):  # a fixed order of tokens, say, in place of the tokens
        if node.target in (aten.embedding.default, aten.gather.default) and isinstance(argument, Node) and j:
            yield Change(CONSTANTS, "indices shifted", (), lambda t, v, n: v[t.position[n]].roll(1, 0))


def _step_1(trace: Trace, values: Values, node: Node) -> Tensor:
    unfolded = trace.call(node, values, [*node.args[:3], 1])
    return unfolded.narrow(node.args[1], 0, values[trace.position[node]].shape[node.args[1]])  # type: ignore[no-any-return]


def _argument_spread(j: int, trace: Trace, values: Values, node: Node) -> Tensor:
    value, like = trace.arg(node, j, values), values[trace.position[node]]
    return torch.as_tensor(value, dtype=like.dtype).expand(like.shape)


def _last_overwrites(trace: Trace, values: Values, node: Node) -> Tensor:
    """An embedding's gradient where each token's last place is kept, not the sum over its places."""
    g, tokens = (trace.arg(node, j, values) for j in (0, 1))
    kept = torch.zeros_like(values[trace.position[node]])
    flat = g.reshape(-1, g.shape[-1])
    for place, token in enumerate(tokens.flatten().tolist()):
        kept[token] = flat[place]
    return kept


def _is_sum_with_constant(argument: Any) -> bool:
    sums = aten.add.Tensor, aten.add.Scalar
    return isinstance(argument, Node) and argument.target in sums and not isinstance(argument.args[1], Node)


def _outside(trace: Trace, values: Values, node: Node) -> Tensor:
    inner = node.args[0]
    root: Tensor = trace.arg(inner, 0, values).sqrt() + inner.args[1]  # type: ignore[union-attr, arg-type]  # a node
    return 1 / root if node.target is aten.rsqrt.default else root


def _sums(trace: Trace, node: Node, value: Tensor) -> Iterator[Change]:
    """A sum or mean over other axes, of fewer terms, one for the other, or none."""
    operators = {**SUM_OPERATORS, aten.sum.default: torch.sum, aten.mean.default: torch.mean}
    if node.target not in operators:
        return
    if not is_real(value):
        yield Change(SUMS, "all counted", (), lambda t, v, n: torch.ones_like(t.arg(n, 0, v)).sum())
        return
    summed = trace.arg(node, 0, trace.values)
    is_mean = operators[node.target] is torch.mean

    def count(trace: Trace, values: Values, node: Node) -> float:
        return trace.arg(node, 0, values).numel() / values[trace.position[node]].numel()  # type: ignore[no-any-return]

    if is_mean:
        yield Change(SUMS, "sum for mean", (), lambda t, v, n: v[t.position[n]] * count(t, v, n))
    else:
        yield Change(SUMS, "mean for sum", (), lambda t, v, n: v[t.position[n]] / count(t, v, n))
    yield Change(SUMS, "not summed", (), lambda t, v, n: t.arg(n, 0, v))
    if node.target not in SUM_OPERATORS:
        return
    axes = {axis % summed.dim() for axis in node.args[1]}  # type: ignore[union-attr]  # a list
    every = chain.from_iterable(combinations(range(summed.dim()), k) for k in range(1, summed.dim() + 1))
    for others in every:
        if set(others) != axes:
            yield Change(SUMS, "over other axes", (others, tuple(sorted(axes)), summed.dim()), partial(_over, others))
    for what, part in ("first", slice(0, 1)), ("last", slice(-1, None)):
        yield Change(SUMS, f"only the {what}", (tuple(sorted(axes)),), partial(_of_part, part))
        for axis in axes if len(axes) > 1 else ():
            yield Change(SUMS, f"only the {what}", ((axis,),), partial(_of_part, part, only=axis))


def _over(axes: tuple[int, ...], trace: Trace, values: Values, node: Node) -> Tensor:
    shape, keeps = values[trace.position[node]].shape, len(node.args) > 2 and bool(node.args[2])
    other = SUM_OPERATORS[node.target](trace.arg(node, 0, values), axes, keepdim=keeps)
    return other.reshape(shape) if other.numel() == shape.numel() and not keeps else other  # type: ignore[no-any-return]


def _of_part(part: slice, trace: Trace, values: Values, node: Node, only: int | None = None) -> Tensor:
    summed = trace.arg(node, 0, values)
    axes = {axis % summed.dim() for axis in node.args[1]} if only is None else {only}  # type: ignore[union-attr]  # a list
    taken = summed[tuple(part if axis in axes else slice(None) for axis in range(summed.dim()))]
    return trace.call(node, values, [taken, *node.args[1:]])  # type: ignore[no-any-return]


def _constants(node: Node) -> Iterator[Change]:
    """Another number in place of each constant, one that comes from it or one of the usual."""
    if node.target in SHAPES:
        return
    for j, constant in enumerate(node.args):
        for other in others(constant):
            yield Change(CONSTANTS, "constant", (j, other), partial(_with_constant, j, other))
    for key, constant in node.kwargs.items():
        for other in others(constant):
            yield Change(CONSTANTS, "constant", (key, other), partial(_with_constant, key, other))


def _with_constant(key: int | str, other: Any, trace: Trace, values: Values, node: Node) -> Any:
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
        return [
            *(lambda c: -c, lambda c: 2 * c, lambda c: c / 2, lambda c: c * c, lambda c: sqrt(abs(c))),
            *(lambda c: 1 - c, *inverse, *map(_always, numbers)),
        ]
    if isinstance(constant, list | tuple) and constant and all(type(item) is int for item in constant):
        return _other_lists(tuple(constant))
    return []


def _always(number: float) -> Callable[[Any], float]:
    return lambda _: number


def _other_lists(constant: tuple[int, ...]) -> list[Callable[[Any], Any]]:
    """Other orders, for a permutation; one more on one side and one less on the other, for a padding."""
    orders = [order for order in permutations(range(len(constant))) if len(constant) < 5]
    found: list[Callable[[Any], Any]] = [lambda c, o=order: [c[i] for i in o] for order in orders[1:]]  # type: ignore[misc]  # mypy: default of a lambda
    steps = [lambda c, s=step: [i + s * (-1) ** k for k, i in enumerate(c)] for step in (1, -1)]
    return found + steps


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
