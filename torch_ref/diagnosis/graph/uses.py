"""Another value of the same shape in an argument's place: of another time step, of another operator."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache, partial
from typing import Any, TypeAlias

import torch
from torch.fx import Node

from torch_ref.diagnosis.graph.alike import Group, in_steps, same_source
from torch_ref.diagnosis.graph.change import OTHERS, STEPS, Change
from torch_ref.diagnosis.graph.nodes import Values, is_real, target_of
from torch_ref.diagnosis.graph.origin import origin_of
from torch_ref.diagnosis.graph.time_steps import WRITTEN, steps, times
from torch_ref.diagnosis.graph.trace import Trace

OWN = "step before, but for the first", "step after, but for the last"
Slot: TypeAlias = dict[int, int]  # by time step, the position of a value


def uses(trace: Trace, group: Group, *, of_steps: bool) -> Iterator[Change]:
    """Each argument of these nodes replaced: by that of the step before or after, or by each other value there is.

    Gradients last: where either of two factors may be of another step, it is the state, not what comes in.
    """
    if origin_of(trace, group[0]).operator == WRITTEN:  # it only moves what it is given
        return
    arguments = trace.nodes[group[0]].args
    for j in sorted(range(len(arguments)), key=lambda j: _is_gradient(trace, arguments[j])):
        given = [of.args[j] for i in group if len((of := trace.nodes[i]).args) > j]
        if len(given) < len(group) or not all(isinstance(a, Node) for a in given):
            continue
        taken = [trace.position[a] for a in given]
        if not is_real(trace.values[taken[0]]):
            continue
        if of_steps:
            yield from _of_other_steps(trace, group, j, taken)
        elif len(group) > 1:
            yield from _of_other_slots(trace, group, j, taken)
        else:
            yield from _of_other_nodes(trace, group[0], j, taken[0])


def _is_gradient(trace: Trace, argument: Any) -> bool:
    return isinstance(argument, Node) and trace.position[argument] in trace.gradients


def _of_other_steps(trace: Trace, group: Group, j: int, taken: list[int]) -> Iterator[Change]:
    """In each layer for itself, where a group has the steps of several."""
    parts: dict[Any, list[tuple[int, int]]] = defaultdict(list)
    for i, a in zip(group, taken, strict=True):
        step = steps(trace).get(trace.number(i))
        parts[step and step.operator].append((i, a))
    shifts = [_shifts(trace, dict(part)) for part in parts.values()]
    for what in shifts[0]:
        if all(what in of for of in shifts):
            to = {i: other for of in shifts for i, other in of[what].items()}
            yield Change(STEPS, f"the {what}", (j,), partial(_replaced, to, j))


def _shifts(trace: Trace, taken: dict[int, int]) -> dict[str, dict[int, int | None]]:
    """By name, for each node whose argument is given, that of another step; none, if they are not one of each step."""
    in_order = sorted(taken.values())
    if len(in_order) < 2 or len(set(in_order)) < len(in_order):
        return {}
    alike = sources(trace).get(in_order[-1], ())
    after = [*in_order, *(i for i in alike if i > in_order[-1])][1 : len(in_order) + 1]
    before = [None, *in_order[:-1]]
    firsts, lasts = [in_order[0]] * len(in_order), [in_order[-1]] * len(in_order)
    first_own, last_own = [in_order[0], *in_order[:-1]], [*in_order[1:], in_order[-1]]
    instead: tuple[Sequence[int | None], ...] = before, after, firsts, lasts, first_own, last_own
    at = {a: step_of(trace, i) for i, a in taken.items()}
    names = ["step before", "step after", "first step", "last step", *OWN]
    if at[in_order[0]] > at[in_order[-1]]:  # computed by the backward pass, the last step first
        names = ["step after", "step before", "last step", "first step", *reversed(OWN)]
    shifts: dict[str, dict[int, int | None]] = {}
    for what, others in zip(names, instead, strict=True):
        if len(others) == len(in_order):
            to = dict(zip(in_order, others, strict=True))
            shifts[what] = {i: to[a] for i, a in taken.items()}
    return shifts


def _of_other_slots(trace: Trace, group: Group, j: int, taken: list[int]) -> Iterator[Change]:
    """At each step the value of another slot."""
    at = times(trace, group)
    for slot in slots(trace):
        others = [slot.get(step, -1) for step in at]
        if (
            all(0 <= other < i for other, i in zip(others, group, strict=True))
            and all(other != a for other, a in zip(others, taken, strict=True))
            and trace.values[others[0]].shape == trace.values[taken[0]].shape
        ):
            to: dict[int, int | None] = dict(zip(group, others, strict=True))
            late = max(range(len(others)), key=others.__getitem__)  # the first may be where there is no step before
            yield Change(OTHERS, "another value", (j, others[late], taken[late]), partial(_replaced, to, j))


def _of_other_nodes(trace: Trace, i: int, j: int, taken: int) -> Iterator[Change]:
    after = set(trace.after([i]))
    for other in [*range(len(trace.names)), *trace.everything]:
        value = trace.values[other]
        if other == taken or other in after or not is_real(value) or _is_within(trace, other, i):
            continue
        if value.shape == trace.values[taken].shape or _is_other_view(trace, other, taken):
            yield Change(OTHERS, "another value", (j, other, taken), partial(_replaced, {i: other}, j))


def _is_within(trace: Trace, other: int, i: int) -> bool:
    """Whether this is known within the backward pass of another operator alone."""
    number = trace.number(other)
    is_own = all(trace.number(user) == number for user in trace.users[other])
    return is_own and number != trace.number(i) and other in trace.gradients


def _is_other_view(trace: Trace, other: int, taken: int) -> bool:
    """Whether it has the shape of what is only reshaped here."""
    node = trace.nodes[taken]
    if target_of(node) is not torch.reshape:
        return False
    return bool(trace.values[other].shape == trace.values[trace.position[node.args[0]]].shape)


def step_of(trace: Trace, i: int) -> int:
    """The time step of a node, or -1."""
    step = steps(trace).get(trace.number(i))
    return step.step if step and step.steps > 1 else -1


@cache
def slots(trace: Trace) -> list[Slot]:
    """What is computed and what is used at each time step: at the first, the state that is used was not computed."""
    found: list[Slot] = []
    for group in same_source(trace, trace.everything):
        if in_steps(trace, group):
            at = times(trace, group)
            found.append(dict(zip(at, group, strict=True)))
            for j in range(len(trace.nodes[group[0]].args)):
                given = [trace.nodes[i].args[j] for i in group if len(trace.nodes[i].args) > j]
                if len(given) == len(group) and all(isinstance(a, Node) for a in given):
                    found.append({step: trace.position[a] for step, a in zip(at, given, strict=True)})
    real = [slot for slot in found if all(is_real(trace.values[i]) for i in slot.values())]
    return list({tuple(sorted(slot.items())): slot for slot in real}.values())


@cache
def sources(trace: Trace) -> dict[int, Group]:
    """Of each node, those of the same place in the source."""
    return {i: group for group in same_source(trace, trace.everything)[::-1] for i in group}


def _replaced(to: dict[int, int | None], j: int, trace: Trace, values: Values, node: Node) -> Any:
    """The operator with the value of another node as its argument, or with zeros where there is none."""
    other = to[trace.position[node]]
    old = trace.arg(node, j, values)
    new = old * 0 if other is None else values[other].reshape(old.shape)
    args = [new if i == j or a is node.args[j] else a for i, a in enumerate(node.args)]
    return trace.call(node, values, args)
