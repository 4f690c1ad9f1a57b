"""Two changes together: after one that explains a part of what is wrong, or both at one operator."""

from collections import defaultdict
from collections.abc import Hashable, Iterator
from functools import cache
from itertools import combinations

from torch_ref.diagnosis.graph.alike import Group, groups, in_steps, same_source
from torch_ref.diagnosis.graph.attempts import Attempt, Attempts
from torch_ref.diagnosis.graph.change import CONSTANTS, SIMPLE, SUMS, Change
from torch_ref.diagnosis.graph.edges import edges
from torch_ref.diagnosis.graph.edits import edits
from torch_ref.diagnosis.graph.explanation import Explanation, Way
from torch_ref.diagnosis.graph.slopes import slopes

MANY = 6  # axes
PARTS = 8  # of explanations, that are tried with others


def after_parts(attempts: Attempts, parts: list[Explanation]) -> Iterator[Iterator[Attempt]]:
    """Simple changes after one of the parts: changes that explain some of what they change. First finds those."""
    first = attempts.first
    some = sorted(groups(first, first.backward), key=attempts.far)
    changes = cache(lambda i: [*edits(first, first.nodes[i]), *slopes(first, i)])
    yield ((*attempt, None, True) for attempt in attempts.of_rank(Way.BACKWARD, some, changes, SIMPLE, anywhere=True))
    for part in sorted(parts, key=lambda part: -len(part.tensors))[:PARTS]:
        yield ((*attempt, part) for attempt in attempts.of_rank(Way.BACKWARD, some, changes, SIMPLE, anywhere=True))


def at_one_operator(attempts: Attempts) -> Iterator[Iterator[Attempt]]:
    """Two simple changes within the backward pass of one operator; of a loop's, at each step."""
    first = attempts.first
    backward = set(first.backward)
    changes = cache(lambda i: list(filter(_is_likely, edits(first, first.nodes[i]))) if i in backward else [])
    alike = [group for group in same_source(first, first.backward) if in_steps(first, group)]
    of_operator: dict[Hashable, list[Group]] = defaultdict(list)
    for group in [*alike, *((i,) for i in first.backward)]:
        of_operator[tuple(first.number(i) for i in group)].append(group)
    for some in of_operator.values():
        yield (
            (Way.BACKWARD, group, change, (), Explanation(Way.BACKWARD, group, before, frozenset()))
            for group in attempts.possible(Way.BACKWARD, some)
            for before in edges(first, group, changes)
            for change in changes(group[0])
            if change.rank == SUMS
        )
        yield (
            (Way.BACKWARD, late, change, (), Explanation(Way.BACKWARD, early, before, frozenset()))
            for early, late in combinations(some, 2)
            if not set(early) & set(late)
            and attempts.influence.may_explain(attempts.influence.entered(early) | attempts.influence.entered(late))
            for before in changes(early[0])
            for change in changes(late[0])
        )


def _is_likely(change: Change) -> bool:
    """Whether it may be one of two; other axes of the products of a convolution may be hundreds."""
    return change.rank <= CONSTANTS and not (change.kind == "over other axes" and change.detail[-1] >= MANY)
