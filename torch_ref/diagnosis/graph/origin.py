"""Where a node comes from: the module, the operator of the forward pass, its line in the source."""

import re
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from torch.fx import Node

from torch_ref.diagnosis.graph.nodes import is_backward, own_lines
from torch_ref.diagnosis.graph.trace import Trace


class Origin(NamedTuple):
    """module: its name and its class, both empty outside of any. operator: of the forward pass, as torch calls it."""

    module: tuple[str, str]
    operator: str
    line: str


@cache
def origin_of(trace: Trace, i: int) -> Origin:
    """Of a node of either pass: where the operator stands in the forward pass."""
    node = trace.nodes[i]
    there = [trace.nodes[j] for j in trace.blocks.get(trace.number(i), [i]) if not is_backward(trace.nodes[j])]
    if not there:
        return Origin(
            ("", ""), str(node.meta.get("original_aten", node.target)).removeprefix("aten.").partition(".")[0], ""
        )
    custom: dict[str, Any] = next((of.meta["custom"] for of in there if of.meta.get("custom", {}).get("module")), {})
    lines = [frames[-1] for of in reversed(there) if (frames := own_lines(of.meta.get("stack_trace", "")))]
    line = lines[0].partition(": ")[2] if lines else ""
    operator = str(there[-1].meta.get("original_aten") or there[-1].target).removeprefix("aten.").partition(".")[0]
    module = custom.get("module", ("", ""))
    if "batch_norm" in operator and _is_of_one_sample(trace, there[-1].all_input_nodes[0]):
        operator = "instance_norm"  # torch computes it as a batch norm of one sample that has all channels
    return Origin(module, operator, line)


def _is_of_one_sample(trace: Trace, node: Node) -> bool:
    shape: Sequence[int] = getattr(trace.values[trace.position[node]], "shape", ())
    return len(shape) > 2 and shape[0] == 1 < trace.case.sizes.get("batch", 1)  # batch, channels


WRITTEN = "copy_"
ASSIGNED = re.compile(r"(\w+)\s*(?::[^=]+)?=(?!=)")


@cache
def variable_of(trace: Trace, i: int, *, anywhere: bool = False) -> str:
    """What the source calls a value of the forward pass: the variable of its line, if it is the last of the line.

    anywhere: though another line assigns it too, as that before a loop.
    """
    node = trace.nodes[i]
    frames = _frames(trace, i)
    is_function = bool(frames) and not frames[-1].partition(": ")[0].endswith(("<lambda>", "<module>"))
    if is_backward(node) or not is_function or not (found := ASSIGNED.match(frames[-1].partition(": ")[2])):
        return ""
    name = found[1]
    following = next(
        (j for j in trace.everything if j > i and _frames(trace, j) and not is_backward(trace.nodes[j])), None
    )
    is_one_statement = ";" not in frames[-1].partition(": ")[2]
    if not is_one_statement or name in trace.names or (len(_lines_of(trace)[name]) > 1 and not anywhere):
        return ""
    if following is not None and frames[-1] in _frames(trace, following):
        at, after = (steps(trace).get(trace.number(j)) for j in (i, following))
        if not at or not after or at.step == after.step:
            return ""
    return name


def _frames(trace: Trace, i: int) -> tuple[str, ...]:
    return own_lines(trace.nodes[i].meta.get("stack_trace") or "")


@cache
def _lines_of(trace: Trace) -> dict[str, set[str]]:
    """Of each variable, the lines that assign it."""
    lines: dict[str, set[str]] = defaultdict(set)
    for i in trace.everything:
        for frame in _frames(trace, i):
            if found := ASSIGNED.match(frame.partition(": ")[2]):
                lines[found[1]].add(frame)
    return lines


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
        names = list(operators.values())
        period = next(
            p for p in range(1, len(names) + 1) if len(names) % p == 0 and names == names[:p] * (len(names) // p)
        )
        period = len(names) if period == 1 and len(names) < 3 else period  # x + (y + z)
        for k, number in enumerate(operators):
            found[number] = Step(k % period, k // period, len(names) // period)
    counts = {step.steps for step in found.values()}
    for number, step in found.items():
        outer = max((count for count in counts if 1 < count < step.steps and not step.steps % count), default=0)
        if outer:
            found[number] = step._replace(calls=step.steps // outer)
    return found


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
