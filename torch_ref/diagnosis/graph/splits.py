"""An axis that is read in the wrong order where it is split, or several are joined: heads, blocks, channels."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import permutations
from typing import TypeAlias

import torch
from torch import Tensor
from torch.fx import Node

from torch_ref.diagnosis.graph.change import SUMS, Change
from torch_ref.diagnosis.graph.nodes import Values, is_real, target_of
from torch_ref.diagnosis.graph.trace import Trace

Run: TypeAlias = tuple[int, int]  # of axes of the split shape, that are one of the other: where it begins and ends
MOST = 4  # axes of a run: more have too many orders


def splits(trace: Trace, node: Node) -> Iterator[Change]:
    """At a reshaping, the axes of which one is made, or that become one, in each other order."""
    if target_of(node) is not torch.reshape or not is_real(value := trace.values[trace.position[node]]):
        return
    before = trace.arg(node, 0, trace.values).shape
    joined = len(value.shape) < len(before)
    split, whole = (before, value.shape) if joined else (value.shape, before)
    runs, every = _runs(whole, split), list(range(len(split)))
    orders = [
        [*every[:low], *order, *every[high:]] for low, high in runs for order in list(permutations(every[low:high]))[1:]
    ]
    if len(runs) > 1:  # all of them the other way round
        backwards = every.copy()
        for low, high in runs:
            backwards[low:high] = reversed(every[low:high])
        orders.append(backwards)
    for order in orders:
        sizes = tuple(split[low:high] for low, high in runs if order[low:high] != every[low:high])
        yield Change(SUMS, "split", (sizes, joined), partial(_in_order, tuple(order), joined))


def _runs(whole: Sequence[int], split: Sequence[int]) -> list[Run]:
    """Which axes of the one shape are several of the other; none, if it is not so."""
    runs, k = [], 0
    for size in whole:
        low, product = k, 1
        while k < len(split) and (product < size or k == low):
            product, k = product * split[k], k + 1
        if product != size:
            return []
        if sum(of > 1 for of in split[low:k]) > 1 and k - low <= MOST:
            runs.append((low, k))
    return runs if k == len(split) else []


def _in_order(order: Sequence[int], joined: bool, trace: Trace, values: Values, node: Node) -> Tensor:  # noqa: FBT001  # a partial
    argument, shape = trace.arg(node, 0, values), values[trace.position[node]].shape
    if joined:
        return argument.permute(*order).reshape(shape)  # type: ignore[no-any-return]
    back = sorted(range(len(order)), key=order.__getitem__)
    return argument.reshape([shape[axis] for axis in order]).permute(*back)  # type: ignore[no-any-return]
