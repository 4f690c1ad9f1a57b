"""What a search tries, in its order: the simplest first, and near the wrong tensors."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from torch import Tensor

from torch_ref.diagnosis.graph.activations import activations
from torch_ref.diagnosis.graph.alike import Group, groups, in_steps, same_source
from torch_ref.diagnosis.graph.change import PLACES, SIMPLE, Change
from torch_ref.diagnosis.graph.edges import edges
from torch_ref.diagnosis.graph.edits import edits
from torch_ref.diagnosis.graph.explanation import BACKWARD, DERIVATIVE, FORWARD, RECOMPUTED, VALUE, Explanation
from torch_ref.diagnosis.graph.nodes import is_backward
from torch_ref.diagnosis.graph.places import places
from torch_ref.diagnosis.graph.scaled import scaled
from torch_ref.diagnosis.graph.slopes import slopes
from torch_ref.diagnosis.graph.trace import Trace
from torch_ref.diagnosis.graph.uses import uses

Attempt: TypeAlias = tuple[Any, ...]  # the arguments of `Search.consider`
ALONE = {"negated", "passed on", "twice", "other sign"}  # no one does these at several nodes of one operator
PARTS = 8  # of explanations, that are tried with others


@dataclass(frozen=True)
class Attempts:
    """Of the first case the graph, what the candidate gave, and the names of what is wrong."""

    first: Trace
    yours: Mapping[str, Tensor]
    wrong: frozenset[str]

    def pairs(self, parts: list[Explanation]) -> Iterator[Iterator[Attempt]]:
        """Simple changes after one of the parts: changes that explain some of what they change. First finds those."""
        first = self.first
        some = sorted(groups(first, first.backward), key=self._far)
        changes = {i: [*edits(first, first.nodes[i]), *slopes(first, i)] for i in first.backward}
        yield ((*attempt, None, True) for attempt in self._attempts(BACKWARD, some, changes, SIMPLE))
        for part in sorted(parts, key=lambda part: -len(part.tensors))[:PARTS]:
            yield ((*attempt, part) for attempt in self._attempts(BACKWARD, some, changes, SIMPLE))

    def tiers(self) -> Iterator[Iterator[Attempt]]:
        """What is tried, the simplest first."""
        first = self.first
        back = sorted(groups(first, first.backward), key=self._far)
        there = sorted(groups(first, first.forward), key=self._far)
        of_back = {
            i: [*edits(first, first.nodes[i]), *places(first.values[i]), *slopes(first, i)] for i in first.backward
        }
        of_there = {i: [*edits(first, first.nodes[i]), *activations(first.nodes[i])] for i in first.forward}
        unsure = not set(first.outputs) - set(first.case.differentiated) <= set(self.yours)
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
            if some is same:
                yield ((BACKWARD, group, change) for group in same for change in uses(first, group, steps=True))
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
        first = self.first
        yield ((BACKWARD, group, change) for group in some for change in uses(first, group, steps=False))
        yield ((BACKWARD, group, change) for group in some for change in scaled(first, group, self.yours, self.wrong))

    def _attempts(
        self, way: str, some: list[Group], changes: Mapping[int, list[Change]], rank: int
    ) -> Iterator[Attempt]:
        for group in some:
            within_one = len(group) > 1 and len({self.first.number(i) for i in group}) == 1
            for change in changes[group[0]]:
                if change.rank == rank and not (within_one and change.kind in ALONE):
                    for held in self._held(way, group):
                        yield way, group, change, held

    def _held(self, way: str, group: Group) -> list[Group]:
        """Which nodes keep their values: the edited ones themselves, or the results of the operators they belong to."""
        if way != DERIVATIVE:
            return [()]
        first = self.first
        ends = tuple(max(j for j in first.blocks[first.number(i)] if not is_backward(first.nodes[j])) for i in group)
        return list(dict.fromkeys((group, ends)))

    def _far(self, group: Group) -> tuple[bool, int, int]:
        """How far from the tensors that are wrong: those that reach them alone first, then those near them."""
        reached = self.first.reached(group)
        return not reached <= self.wrong, -len(reached & self.wrong), -group[-1]
