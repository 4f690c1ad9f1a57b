"""Lines that are run in steps, one after another: which operator is of which step."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from torch_ref.diagnosis.graph.gates import is_of_layer
from torch_ref.diagnosis.graph.nodes import is_backward
from torch_ref.diagnosis.graph.origin import origin_of
from torch_ref.diagnosis.graph.trace import Trace

WRITTEN = "copy_"
SHORTEST = 3  # operators of a step of a recurrent layer


class Step(NamedTuple):
    """Of an operator on a line that is run several times: which of the line's operators it is, and in which step.

    calls: how many of these steps may be within one of another line: of a function that a loop calls several times.
    """

    operator: int
    step: int
    steps: int
    calls: int = 1


@cache
def steps(trace: Trace) -> dict[int, Step]:
    """By the number of an operator. A line whose operators come again and again in the same order is run in steps."""
    lines: dict[tuple[str, tuple[str, str]], dict[int, str]] = defaultdict(dict)
    for i in trace.everything:
        if not is_backward(trace.nodes[i]) and trace.number(i) >= 0:
            origin = origin_of(trace, i)
            lines[origin.line, origin.module][trace.number(i)] = origin.operator
    found = {}
    for operators in lines.values():
        if WRITTEN in operators.values():  # into a part, which is selected first
            operators = {number: name for number, name in operators.items() if name == WRITTEN}  # noqa: PLW2901  # those
        numbers, names = list(operators), list(operators.values())
        is_layer = is_of_layer(trace, trace.blocks[numbers[0]][0])
        for start, period, count in _runs(names) if is_layer else [(0, _period(names), 0)]:
            run = numbers[start : start + period * count or None]
            for k, number in enumerate(run):
                found[number] = Step(start + k % period, k // period, len(run) // period)
    counts = {step.steps for step in found.values()}
    for number, step in found.items():
        outer = max((count for count in counts if 1 < count < step.steps and not step.steps % count), default=0)
        if outer:
            found[number] = step._replace(calls=step.steps // outer)
    return found


def _period(names: list[str]) -> int:
    """How many operators come again and again, if these are nothing else; or all of them."""
    period = next(p for p in range(1, len(names) + 1) if len(names) % p == 0 and names == names[:p] * (len(names) // p))
    return len(names) if period == 1 and len(names) < 3 else period  # x + (y + z)


def _runs(names: list[str]) -> Iterator[tuple[int, int, int]]:
    """What comes again and again within a recurrent layer: where it begins, its length, how often; the rest by itself.

    The input of all steps is multiplied before the first of them.
    """
    start = 0
    while start < len(names):
        lengths = range(SHORTEST, (len(names) - start) // 2 + 1)
        at = names[start:]
        period = next((p for p in lengths if at[:p] == at[p : 2 * p]), 1)
        count = next((n for n in range(1, len(at)) if at[:period] != at[n * period : (n + 1) * period]), len(at))
        yield start, period, count if period > 1 else 1
        start += period * (count if period > 1 else 1)


def times(trace: Trace, group: Sequence[int]) -> list[int]:
    """In which step of a loop each of these is; or in which run of its line, where a step runs it several times."""
    at = [steps(trace)[trace.number(i)] for i in group]
    of_loop = [step.step // step.calls for step in at]
    return of_loop if len(set(of_loop)) == len(group) else [step.step for step in at]


def in_time(trace: Trace, i: int) -> bool:
    """Whether the line of a node is run in steps that follow one another: the last is computed from the first."""
    origin, step = origin_of(trace, i), steps(trace).get(trace.number(i))
    if not step or step.steps < 2:
        return False
    ends: dict[int, list[int]] = defaultdict(list)  # by step
    for number, other in steps(trace).items():
        of = origin_of(trace, trace.blocks[number][0])
        if other.steps == step.steps and (of.module, of.line) == (origin.module, origin.line):
            ends[other.step] += [j for j in trace.blocks[number] if not is_backward(trace.nodes[j])]
    return not set(trace.after(ends[0])).isdisjoint(ends[step.steps - 1])
