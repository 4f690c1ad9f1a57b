"""Elements of a tensor in other places: slices dropped or kept, blocks exchanged, flipped, summed and spread."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations

import torch
from torch import Tensor
from torch.fx import Node

from torch_ref.diagnosis.graph.change import PLACES, SIMPLE, Change
from torch_ref.diagnosis.graph.nodes import Values
from torch_ref.diagnosis.graph.trace import Edit, Trace

BLOCKS = 2, 3, 4  # gates, heads, a fused projection


def places(value: Tensor) -> Iterator[Change]:
    """Every rearrangement of this tensor that keeps its shape."""
    shape = value.shape
    for axis, size in enumerate(shape):
        if size > 1:
            yield from _along(axis, size)
    for a, b in combinations(range(len(shape)), 2):
        if shape[a] == shape[b] > 1:
            yield Change(SIMPLE, "transposed", (a, b), _of(partial(torch.transpose, dim0=a, dim1=b)))
        if shape[a] > 1 and shape[b] > 1:
            yield Change(PLACES, "flipped", (a, b), _of(partial(torch.flip, dims=(a, b))))


def _of(change: Callable[[Tensor], Tensor]) -> Edit:
    def value(trace: Trace, values: Values, node: Node) -> Tensor:
        return change(values[trace.position[node]])

    return value


def _along(axis: int, size: int) -> Iterator[Change]:
    yield Change(PLACES, "flipped", (axis,), _of(lambda x: x.flip(axis)))
    yield Change(PLACES, "summed and spread", (axis,), _of(lambda x: x.sum(axis, keepdim=True).expand(x.shape)))
    yield Change(PLACES, "averaged and spread", (axis,), _of(lambda x: x.mean(axis, keepdim=True).expand(x.shape)))
    yield Change(PLACES, "minus its mean", (axis,), _of(lambda x: x - x.mean(axis, keepdim=True)))
    for i, what in (0, "first"), (-1, "last"):
        yield Change(PLACES, f"the {what} dropped", (axis,), _of(partial(_blocks_kept, axis, None, i, kept=False)))
        yield Change(PLACES, f"the {what} kept", (axis,), _of(partial(_blocks_kept, axis, None, i, kept=True)))
    yield Change(PLACES, "shifted by one", (axis,), _of(lambda x: x.roll(1, axis)))
    yield Change(PLACES, "shifted back by one", (axis,), _of(lambda x: x.roll(-1, axis)))
    yield Change(PLACES, "shifted by one, the first zero,", (axis,), _of(partial(_moved, axis, 1)))
    yield Change(PLACES, "shifted back by one, the last zero,", (axis,), _of(partial(_moved, axis, -1)))
    for count in BLOCKS:
        if size % count or size == count == 2:
            continue
        for i in range(count):
            yield Change(
                PLACES, "block dropped", (axis, i, count), _of(partial(_blocks_kept, axis, count, i, kept=False))
            )
            yield Change(PLACES, "block kept", (axis, i, count), _of(partial(_blocks_kept, axis, count, i, kept=True)))
        for i, j in combinations(range(count), 2):
            yield Change(PLACES, "blocks exchanged", (axis, i, j, count), _of(partial(_exchanged, axis, count, i, j)))
        if count < size:
            yield Change(PLACES, "interleaved", (axis, count), _of(partial(_interleaved, axis, count)))


def _blocks_kept(axis: int, count: int | None, i: int, x: Tensor, *, kept: bool) -> Tensor:
    """Zero but for one block, or with that block zero."""
    count = count or x.shape[axis]
    mask = torch.full((count,), not kept)
    mask[i] = kept
    return x * mask.repeat_interleave(x.shape[axis] // count).to(x.dtype).reshape(-1, *[1] * (x.dim() - axis - 1))


def _moved(axis: int, by: int, x: Tensor) -> Tensor:
    """Shifted, what comes in from outside being zero."""
    return _blocks_kept(axis, None, 0 if by > 0 else -1, x.roll(by, axis), kept=False)


def _exchanged(axis: int, count: int, i: int, j: int, x: Tensor) -> Tensor:
    blocks = list(x.chunk(count, axis))
    blocks[i], blocks[j] = blocks[j], blocks[i]
    return torch.cat(blocks, axis)


def _interleaved(axis: int, count: int, x: Tensor) -> Tensor:
    blocks = x.reshape(*x.shape[:axis], count, -1, *x.shape[axis + 1 :])
    return blocks.transpose(axis, axis + 1).reshape(x.shape)
