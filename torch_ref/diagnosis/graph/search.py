"""The search: which change, at which nodes, gives the candidate's numbers on every telling case."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from torch_ref.diagnosis.graph.activations import activations
from torch_ref.diagnosis.graph.alike import Group, groups, in_steps, same_source
from torch_ref.diagnosis.graph.change import PLACES, SIMPLE, Change
from torch_ref.diagnosis.graph.edges import edges
from torch_ref.diagnosis.graph.edits import edits
from torch_ref.diagnosis.graph.places import places
from torch_ref.diagnosis.graph.scaled import scaled
from torch_ref.diagnosis.graph.slopes import slopes
from torch_ref.diagnosis.graph.trace import Edits, Trace, is_backward
from torch_ref.diagnosis.graph.uses import uses
from torch_ref.results import Comparison

SAME = 1e-9  # relative, in float64: what a search takes for the same number, before noise is measured
BACKWARD, RECOMPUTED, VALUE, FORWARD, DERIVATIVE = "backward", "recomputed", "value", "forward", "derivative"


Attempt: TypeAlias = tuple[Any, ...]  # the arguments of `consider`
PARTS = 8  # of explanations, that are tried with others


class Explanation(NamedTuple):
    """A change at a group of nodes; how it is meant; what it explains, together with another one before it perhaps.

    way: a node of the backward pass (backward); a value of the forward pass, in the backward pass alone (recomputed)
    or in both (value); an operator of the forward pass, differentiated again (forward), or its derivative alone.
    """

    way: str
    group: Group
    change: Change
    tensors: frozenset[str]
    held: Group = ()
    before: "Explanation | None" = None

    @property
    def edits(self) -> Edits:
        """The change at each of the nodes, and the changes before."""
        return {**(self.before.edits if self.before else {}), **dict.fromkeys(self.group, self.change.value)}


def made_by(trace: Trace, way: str, edits: Edits, held: Group = ()) -> dict[str, Tensor]:
    """All that comes out, everything computed anew: so that its noise can be measured."""
    if way in (FORWARD, DERIVATIVE):
        return trace.differentiated(edits, frozenset(held))
    made = trace.replay(edits, trace.everything) or {}
    return {name: tensor for name, tensor in made.items() if way != RECOMPUTED or name in trace.case.differentiated}


@dataclass
class Search:
    """The traces of the telling cases beside what the candidate gave; found: what explains something.

    parts: what explains some of the tensors that it changes, and leaves others wrong.
    deadline: the time when to stop; stopped: whether it came to that.
    """

    traces: Sequence[Trace]
    comparisons: Sequence[Comparison]
    wrong: frozenset[str]
    deadline: float
    found: list[Explanation] = field(default_factory=list)
    parts: list[Explanation] = field(default_factory=list)
    stopped: bool = False

    def __post_init__(self) -> None:
        self.yours = [_tensors(trace, of) for trace, of in zip(self.traces, self.comparisons, strict=True)]
        self.bounds = [_bounds(of) for of in self.comparisons]

    @property
    def explained(self) -> frozenset[str]:
        """The names that something explains."""
        return frozenset().union(*(found.tensors for found in self.found))

    def run(self) -> None:
        """Try the simple changes everywhere, then others, then two together, until all that is wrong is explained."""
        for tier in chain(self._tiers(), self._pairs()):
            for attempt in tier:
                if self.is_late():
                    return
                self.consider(*attempt)
            if self.explained >= self.wrong:
                return

    def _pairs(self) -> Iterator[Iterator[Attempt]]:
        """Simple changes after one that explains a part of what it changes."""
        first = self.traces[0]
        some = sorted(groups(first, first.backward), key=self._far)
        changes = {i: [*edits(first, first.nodes[i]), *slopes(first, i)] for i in first.backward}
        yield ((*attempt, None, True) for attempt in self._attempts(BACKWARD, some, changes, SIMPLE))
        for part in sorted(self.parts, key=lambda part: -len(part.tensors))[:PARTS]:
            yield ((*attempt, part) for attempt in self._attempts(BACKWARD, some, changes, SIMPLE))

    def _tiers(self) -> Iterator[Iterator[Attempt]]:
        """What is tried, the simplest first."""
        first = self.traces[0]
        back = sorted(groups(first, first.backward), key=self._far)
        there = sorted(groups(first, first.forward), key=self._far)
        of_back = {
            i: [*edits(first, first.nodes[i]), *places(first.values[i]), *slopes(first, i)] for i in first.backward
        }
        of_there = {i: [*edits(first, first.nodes[i]), *activations(first.nodes[i])] for i in first.forward}
        unsure = not set(first.outputs) - set(first.case.differentiated) <= set(self.yours[0])
        results_wrong = bool(self.wrong - set(first.case.differentiated))
        ways = [
            *((VALUE, FORWARD) if results_wrong or unsure else ()),
            *((RECOMPUTED, DERIVATIVE) if not results_wrong else ()),
        ]
        same = [group for group in sorted(same_source(first, first.backward), key=self._far) if in_steps(first, group)]
        for some in (same, back) if same else (back,):
            for rank in range(PLACES + 1):
                yield self._attempts(BACKWARD, some, of_back, rank)
            yield ((BACKWARD, group, change) for group in some for change in edges(first, group, of_back | of_there))
            yield ((BACKWARD, group, change) for group in some for change in uses(first, group, steps=True))
            if some is same:
                yield from self._attempts_there(ways, [group for group in there if in_steps(first, group)], of_there)
                yield from self._others(same)
        yield from self._attempts_there(ways, there, of_there)
        yield from self._others([(i,) for i in first.backward])

    def _attempts_there(
        self, ways: Sequence[str], some: list[Group], changes: Mapping[int, list[Change]]
    ) -> Iterator[Iterator[Attempt]]:
        for rank in range(PLACES):
            for way in ways:
                yield self._attempts(way, some, changes, rank)

    def _others(self, some: list[Group]) -> Iterator[Iterator[Attempt]]:
        first = self.traces[0]
        yield ((BACKWARD, group, change) for group in some for change in uses(first, group, steps=False))
        yield (
            (BACKWARD, group, change) for group in some for change in scaled(first, group, self.yours[0], self.wrong)
        )

    def _attempts(
        self, way: str, some: list[Group], changes: Mapping[int, list[Change]], rank: int
    ) -> Iterator[Attempt]:
        for group in some:
            for change in changes[group[0]]:
                if change.rank == rank:
                    for held in self._held(way, group):
                        yield way, group, change, held

    def _held(self, way: str, group: Group) -> list[Group]:
        """Which nodes keep their values: the edited ones themselves, or the results of the operators they belong to."""
        if way != DERIVATIVE:
            return [()]
        first = self.traces[0]
        ends = tuple(max(j for j in first.blocks[first.number(i)] if not is_backward(first.nodes[j])) for i in group)
        return list(dict.fromkeys((group, ends)))

    def _far(self, group: Group) -> tuple[bool, int, int]:
        """How far from the tensors that are wrong: those that reach them alone first, then those near them."""
        reached = self.traces[0].reached(group)
        return not reached <= self.wrong, -len(reached & self.wrong), -group[-1]

    def is_late(self) -> bool:
        """Whether the time is up."""
        self.stopped = self.stopped or time.process_time() > self.deadline
        return self.stopped

    def consider(
        self,
        way: str,
        group: Group,
        change: Change,
        held: Group = (),
        before: Explanation | None = None,
        is_part: bool = False,  # noqa: FBT001, FBT002  # the last of an attempt
    ) -> None:
        """Keep the explanation if every output that the change reaches is the candidate's, on every case.

        A part of an explanation may leave wrong what is wrong.
        """
        explanation = Explanation(way, group, change, frozenset(), held, before)
        changed: set[str] = set()
        right = set(self.wrong)
        for k, trace in enumerate(self.traces):
            made = self._made(k, trace, explanation, self.wrong if is_part else frozenset())
            if made is None:
                return
            changed |= {
                name for name in made if not self._is_same(k, name, made[name], trace.values[trace.outputs[name]])
            }
            right -= {name for name in made if not self._is_same(k, name, made[name], self.yours[k].get(name))}
            if not changed & right:
                return
        explained = frozenset(changed & right)
        if before and not explained > before.tensors:
            return
        (self.parts if is_part else self.found).append(explanation._replace(tensors=explained))

    def _made(self, k: int, trace: Trace, explanation: Explanation, free: frozenset[str]) -> dict[str, Tensor] | None:
        """The outputs that change, if they are the candidate's or free to be others."""
        way, edits = explanation.way, explanation.edits

        def accept(name: str, tensor: Tensor) -> bool:
            is_asked = way != RECOMPUTED or name in trace.case.differentiated
            return (
                not is_asked
                or name in free
                or name not in self.yours[k]
                or self._is_same(k, name, tensor, self.yours[k][name])
            )

        try:
            if way in (FORWARD, DERIVATIVE):
                made = trace.differentiated(edits, frozenset(explanation.held))
                return made if all(accept(name, tensor) for name, tensor in made.items()) else None
            outputs = trace.replay(edits, trace.after(edits), accept)
        except Exception:  # noqa: BLE001  # a change that does not fit: another shape, an axis that is not there
            return None
        return outputs and {
            name: t for name, t in outputs.items() if way != RECOMPUTED or name in trace.case.differentiated
        }

    def _is_same(self, k: int, name: str, made: Tensor, other: Tensor | None) -> bool:
        return (
            other is not None
            and made.shape == other.shape
            and bool((made - other).abs().max() <= self.bounds[k].get(name, np.inf))
        )


def _tensors(trace: Trace, comparison: Comparison) -> dict[str, Tensor]:
    """What the candidate gave, in the shapes of the trace, as far as it can be compared."""
    tensors = {}
    for name, i in trace.outputs.items():
        line = comparison.lines.get(name)
        if line is not None and line.problem is None:
            tensors[name] = torch.from_numpy(np.ascontiguousarray(comparison.yours[name])).reshape(
                trace.values[i].shape
            )
    return tensors


def _bounds(comparison: Comparison) -> dict[str, float]:
    return {name: max(SAME * line.largest, 4 * line.allowed) for name, line in comparison.lines.items()}
