"""Another value of the same shape in an argument's place: of another time step, of another operator."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from torch.fx import Node

from torch_ref.diagnosis.graph.alike import Group, sources
from torch_ref.diagnosis.graph.change import OTHERS, STEPS, Change
from torch_ref.diagnosis.graph.nodes import Values, is_real
from torch_ref.diagnosis.graph.trace import Trace


def uses(trace: Trace, group: Group, *, steps: bool) -> Iterator[Change]:
    """Each argument of these nodes replaced: by that of the step before or after, or by each other value there is."""
    for j in range(len(trace.nodes[group[0]].args)):
        given = [of.args[j] for i in group if len((of := trace.nodes[i]).args) > j]
        if len(given) < len(group) or not all(isinstance(a, Node) for a in given):
            continue
        taken = [trace.position[a] for a in given]
        if not is_real(trace.values[taken[0]]):
            continue
        if steps:
            yield from _of_other_steps(trace, group, j, taken)
        else:
            yield from _of_other_operators(trace, group, j, taken)


def _of_other_steps(trace: Trace, group: Group, j: int, taken: list[int]) -> Iterator[Change]:
    if len(group) < 2 or len(set(taken)) < len(taken):
        return
    in_order = sorted(taken)
    alike = sources(trace)[in_order[-1]]
    after = [*in_order, *(i for i in alike if i > in_order[-1])][1 : len(in_order) + 1]
    before = [None, *in_order[:-1]]
    firsts, lasts = [in_order[0]] * len(in_order), [in_order[-1]] * len(in_order)
    for what, others in ("step before", before), ("step after", after), ("first step", firsts), ("last step", lasts):
        if len(others) == len(in_order):
            to = dict(zip(in_order, others, strict=True))
            yield Change(
                STEPS, f"the {what}", (j,), partial(_replaced, {i: to[a] for i, a in zip(group, taken, strict=True)}, j)
            )


def _of_other_operators(trace: Trace, group: Group, j: int, taken: list[int]) -> Iterator[Change]:
    shape = trace.values[taken[0]].shape
    own = sources(trace)[taken[0]]
    for other in dict.fromkeys(sources(trace).values()):
        if other == own or not is_real(trace.values[other[0]]) or trace.values[other[0]].shape != shape:
            continue
        if len(other) == len(own) > 1:
            to = [other[own.index(i)] if i in own else None for i in taken]
        elif len(group) == 1:
            for one in other:
                if one < group[0] and one != taken[0]:
                    yield Change(OTHERS, "another value", (j, one), partial(_replaced, {group[0]: one}, j))
            continue
        else:
            continue
        if all(new is not None and new < i for new, i in zip(to, group, strict=True)):
            yield Change(
                OTHERS, "another value", (j, other[0]), partial(_replaced, dict(zip(group, to, strict=True)), j)
            )


def _replaced(to: dict[int, int | None], j: int, trace: Trace, values: Values, node: Node) -> Any:
    """The operator with the value of another node as its argument, or with zeros where there is none."""
    other = to[trace.position[node]]
    old = trace.arg(node, j, values)
    new = old * 0 if other is None else values[other]
    args = [new if i == j or a is node.args[j] else a for i, a in enumerate(node.args)]
    return trace.call(node, values, args)
