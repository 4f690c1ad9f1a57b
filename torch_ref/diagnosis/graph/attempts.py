"""What a search tries, in its order: the simplest first, and near the wrong tensors."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain
from typing import Any, TypeAlias

import torch
from torch import Tensor

from torch_ref.diagnosis.graph.alike import Group, groups, in_steps, same_source
from torch_ref.diagnosis.graph.change import PLACES, SIMPLE, SUMS, Change
from torch_ref.diagnosis.graph.data_changed import data_changed
from torch_ref.diagnosis.graph.edges import cut_in, edges
from torch_ref.diagnosis.graph.edits import edits
from torch_ref.diagnosis.graph.elementwise import elementwise
from torch_ref.diagnosis.graph.exchanged import exchanged
from torch_ref.diagnosis.graph.explanation import GRADIENTS_ALONE, OF_WRONG, Way
from torch_ref.diagnosis.graph.influence import Influence
from torch_ref.diagnosis.graph.nodes import is_backward, is_real, is_real_or_mask
from torch_ref.diagnosis.graph.own import own
from torch_ref.diagnosis.graph.pairs import pairs
from torch_ref.diagnosis.graph.places import places
from torch_ref.diagnosis.graph.scaled import scaled
from torch_ref.diagnosis.graph.skipped import skipped
from torch_ref.diagnosis.graph.slopes import of_two_sides, slopes
from torch_ref.diagnosis.graph.stray import another_constant, in_place_of, stray
from torch_ref.diagnosis.graph.substituted import substituted
from torch_ref.diagnosis.graph.swapped import swapped
from torch_ref.diagnosis.graph.trace import Trace
from torch_ref.diagnosis.graph.updated import updated
from torch_ref.diagnosis.graph.uses import uses
from torch_ref.diagnosis.graph.weighted import weighted, weighted_there

aten: Any = torch.ops.aten
Attempt: TypeAlias = tuple[Any, ...]  # the arguments of `Search.consider`
Changes: TypeAlias = Callable[[int], list[Change]]  # of a node
ALONE = {"negated", "passed on", "twice", "other sign"}  # no one does these at several nodes of one operator
CUT = {"cut", "passed on"}  # what the derivative of an operator may lack


@dataclass(frozen=True)
class Attempts:
    """Of the first case the graph, what the candidate gave, and the names of what is wrong."""

    first: Trace
    yours: Mapping[str, Tensor]
    wrong: frozenset[str]
    influence: Influence
    of_wrong: Influence

    @property
    def results(self) -> set[str]:
        """Their names: those of what has no gradient."""
        return set(self.first.outputs) - set(self.first.case.differentiated)

    def tiers(self) -> Iterator[Iterator[Attempt]]:
        """What is tried, the simplest first; of a loop, what is wrong at each of its steps before all else."""
        first = self.first
        back = sorted(groups(first, first.backward), key=self.far)
        there = sorted(groups(first, first.forward), key=self.far)
        same, same_there = (
            [group for group in some if in_steps(first, group, of_layers=True)]
            for some in (sorted(same_source(first, first.backward), key=self.far), there)
        )
        of_back = cache(lambda i: [*edits(first, first.nodes[i]), *places(first.values[i]), *slopes(first, i)])
        of_there = cache(lambda i: list(self._changes_there(i)))
        backward, forward = set(first.backward), set(first.forward)
        of_either = lambda i: of_back(i) if i in backward else of_there(i) if i in forward else []  # noqa: E731
        results_wrong = bool(self.wrong & self.results)
        ways = [Way.VALUE, Way.FORWARD] if results_wrong or not self.results <= set(self.yours) else []
        ways += [] if results_wrong else [Way.TAKEN, Way.RECOMPUTED]
        alone: list[Group] = [(i,) for i in first.backward]
        yield from self._special()
        for some in same, back:
            for rank in range(PLACES):
                yield self.of_rank(Way.BACKWARD, some, of_back, rank)
        yield data_changed(first, self.wrong)
        yield self._each(same, partial(uses, first, of_steps=True))
        for some, some_there, others in (same, same_there, same), (back, there, alone):
            yield self._each(some, partial(edges, first, changes=of_either))
            swaps = dict(chain(swapped(first, others), exchanged(first, some)))
            yield self._each(list(swaps), lambda group, swaps=swaps: [swaps[group]])  # type: ignore[misc]  # mypy: default of a lambda
            yield self.of_rank(Way.BACKWARD, some, of_back, PLACES) if some is same else iter(())
            for rank in range(PLACES):
                for way in ways:
                    yield self.of_rank(way, some_there, of_there, rank)
            yield self._each(others, partial(uses, first, of_steps=False))
            yield self._each(alone if some is back else [], lambda group: stray(first, group[0], self.influence))
            yield self._each(others, partial(scaled, first, yours=self.yours, wrong=self.wrong))
        yield self.of_rank(Way.BACKWARD, back, of_back, PLACES)
        yield from self._weights(Way.FORWARD if results_wrong else Way.ANOTHER, alone)
        yield ((Way.FORWARD, group, change) for group, change in pairs(first) if results_wrong)
        yield self.of_rank(Way.ONLY, [of for of in back if not first.reached(of) <= self.wrong], of_back, SIMPLE)
        for some in (same_there, there) if not results_wrong else ():
            yield self.of_rank(Way.FOR_SOME, some, of_there, SIMPLE)
            yield self.of_rank(Way.DERIVATIVE, some, lambda i: [of for of in of_there(i) if of.kind in CUT], SIMPLE)

    def _special(self) -> Iterator[Iterator[Attempt]]:
        """What is detached, differentiated; other slopes on each side of 0; a gradient that one operator lacks."""
        first, detach = self.first, aten.detach.default
        detached = [i for i in first.forward if first.nodes[i].target is detach and not self.wrong & self.results]
        yield ((Way.ANOTHER, (i,), change) for i in detached for change in edits(first, first.nodes[i]))
        yield self._each([(i,) for i in first.backward], lambda group: of_two_sides(first, group[0], self.influence))
        yield ((Way.BACKWARD, *of) for of in cut_in(first) if self.influence.may_explain(self.influence.entered(of[0])))

    def _weights(self, way: Way, alone: list[Group]) -> Iterator[Iterator[Attempt]]:
        """Other weights of the two terms of a sum: solved for at a gradient, and tried in the forward pass first."""
        first = self.first
        weights = {i: list(weighted(first, i, self.influence)) for (i,) in alone}
        all_ = list(chain.from_iterable(weights.values()))
        yield ((way, (i,), change) for i in first.forward for change in weighted_there(first, i, all_))
        yield self._each(alone, lambda group: weights[group[0]])

    def last(self) -> Iterator[Iterator[Attempt]]:
        """What is tried after that at each gradient: another one in its place, ratios of what is known there."""
        first = self.first
        ratios = partial(in_place_of, influence=self.influence)
        if self.wrong <= set(first.case.differentiated):
            likely = cache(lambda group: list(self.possible(Way.TAKEN, [group])))
            yield ((Way.TAKEN, *of) for of in substituted(first) if likely(of[0]))
            yield ((Way.BACKWARD, *of) for of in updated(first, self.yours, self.wrong))
        of_own = partial(own, influence=self.influence)
        for changes in of_own, partial(skipped, gradients=first.gradients), another_constant, ratios:
            yield self._each([(i,) for i in first.backward], lambda group, of=changes: of(first, group[0]))  # type: ignore[misc]  # mypy: default of a lambda
        if self.wrong <= set(first.case.differentiated):
            there = cache(lambda i: list(self._changes_there(i)))
            some = sorted(groups(first, first.forward), key=self.far)
            left_out = cache(lambda i: [change for change in there(i) if change.kind == "passed on"])
            yield self.of_rank(Way.ANOTHER, some, left_out, SIMPLE)
            yield self.of_rank(Way.ANOTHER, some, there, SUMS)

    def _changes_there(self, i: int) -> Iterator[Change]:
        """What may have gone wrong at a node of the forward pass."""
        node, value = self.first.nodes[i], self.first.values[i]
        yield from edits(self.first, node)
        yield from elementwise(self.first, i)
        if is_real_or_mask(value):
            yield from (change for change in places(value) if change.rank == SIMPLE)

    def _each(self, some: list[Group], changes: Callable[[Group], Iterable[Change]]) -> Iterator[Attempt]:
        """The changes of each group of the backward pass."""
        return (
            (Way.BACKWARD, group, change) for group in self.possible(Way.BACKWARD, some) for change in changes(group)
        )

    def of_rank(
        self, way: Way, some: list[Group], changes: Changes, rank: int, *, anywhere: bool = False
    ) -> Iterator[Attempt]:
        """anywhere: where the mistake can't be, if it is the only one, too."""
        for group in some if anywhere else self.possible(way, some):
            flips = self.first.nodes[group[0]].target is aten.flip.default  # there and back
            within_one = len(group) > 1 and len({self.first.number(i) for i in group}) == 1
            for change in changes(group[0]):
                if way in GRADIENTS_ALONE and change.kind == "cut" and not self._is_taken(group):
                    continue  # a choice, such as that of the largest, is another one if all are alike
                if change.rank == rank and not (within_one and change.kind in ALONE and not flips):
                    for held in self._held(way, group):
                        yield way, group, change, held

    def possible(self, way: Way, some: list[Group]) -> Iterator[Group]:
        """Those at which the mistake may be."""
        first = self.first
        for group in some:
            near = chain.from_iterable(first.blocks[first.number(i)] for i in group) if way == Way.DERIVATIVE else group
            influence = self.of_wrong if way in OF_WRONG else self.influence
            changed = influence.entered(near, taken=way == Way.TAKEN)
            if (
                way in (Way.FORWARD, Way.ANOTHER)
                or (way == Way.VALUE and not changed)
                or influence.may_explain(changed)
            ):
                yield group

    def _is_taken(self, group: Group) -> bool:
        """Whether the backward pass takes from these, or from what is computed from them, more than a choice."""
        first = self.first
        there = [j for j in first.after(group) if not is_backward(first.nodes[j]) and is_real(first.values[j])]
        return any(is_backward(first.nodes[user]) and first.reach[user] for j in there for user in first.users[j])

    def _held(self, way: Way, group: Group) -> list[Group]:
        """Which nodes keep their values: the edited ones themselves, or the results of the operators they belong to."""
        if way != Way.DERIVATIVE:
            return [()]
        first = self.first
        ends = tuple(max(j for j in first.blocks[first.number(i)] if not is_backward(first.nodes[j])) for i in group)
        return list(dict.fromkeys((group, ends)))

    def far(self, group: Group) -> tuple[bool, int, int]:
        """How far from the tensors that are wrong: those that reach them alone first, then those near them."""
        reached = self.first.reached(group)
        return not reached <= self.wrong, -len(reached & self.wrong), -group[-1]
