"""The factors of two products in each other's place: two gates of one gradient, the weights of two heads."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from functools import partial
from itertools import combinations
from typing import Any

import torch
from torch.fx import Node

from torch_ref.diagnosis.graph.alike import Group
from torch_ref.diagnosis.graph.change import EDGES, Change
from torch_ref.diagnosis.graph.nodes import Values
from torch_ref.diagnosis.graph.signs import SILENT
from torch_ref.diagnosis.graph.trace import Trace

aten: Any = torch.ops.aten
PRODUCTS = aten.mul.Tensor, aten.div.Tensor, aten.mm.default, aten.bmm.default


def swapped(trace: Trace, some: Iterable[Group]) -> Iterator[tuple[Group, Change]]:
    """Each two groups of products of a gradient with what the forward pass knows, that come from one or go into one."""
    near: dict[Hashable, list[Group]] = defaultdict(list)
    for group in some:
        if all(_factor(trace, i) >= 0 for i in group):
            for end in _ends(trace, group[0]):
                near[len(group), end].append(group)
    pairs = dict.fromkeys(pair for groups in near.values() for pair in combinations(groups, 2))
    for one, other in pairs:
        exchanged = dict(zip((*one, *other), (*other, *one), strict=True))
        if len(exchanged) == 2 * len(one) and all(_fits(trace, i, k) for i, k in exchanged.items()):
            factors = tuple(_factor(trace, group[0]) for group in (one, other))
            yield tuple(sorted(exchanged)), Change(EDGES, "swapped", factors, partial(_with_other, exchanged))


def _factor(trace: Trace, i: int) -> int:
    """The position of what a gradient is multiplied by; -1, if it is no such product."""
    node = trace.nodes[i]
    known = [of for of in node.all_input_nodes if trace.position[of] not in trace.gradients]
    is_product = node.target in PRODUCTS and i in trace.gradients and len(node.args) == len(node.all_input_nodes) == 2
    return trace.position[known[0]] if is_product and len(known) == 1 else -1


def _ends(trace: Trace, i: int) -> set[tuple[str, int]]:
    """What comes in, and the sums of gradients that it goes into."""
    node = next(of for of in trace.nodes[i].all_input_nodes if trace.position[of] in trace.gradients)
    while node.target in SILENT and trace.position[node] in trace.gradients:
        node = node.args[0]
    sums, new = set(), [i]
    while new:
        for user in trace.users[new.pop()]:
            if trace.nodes[user].meta.get("is_gradient_acc"):
                sums.add(user)
                new.append(user)
            elif trace.nodes[user].target in SILENT:
                new.append(user)
    return {("from", trace.position[node]), *(("to", user) for user in sums)}


def _fits(trace: Trace, i: int, k: int) -> bool:
    """Whether node i can take the factor of node k."""
    own, other = _factor(trace, i), _factor(trace, k)
    same = trace.nodes[i].target is trace.nodes[k].target and trace.values[own].shape == trace.values[other].shape
    return same and own != other


def _with_other(exchanged: dict[int, int], trace: Trace, values: Values, node: Node) -> Any:
    i = trace.position[node]
    own, other = trace.nodes[_factor(trace, i)], trace.nodes[_factor(trace, exchanged[i])]
    return trace.call(node, values, [other if argument is own else argument for argument in node.args])
