"""What the source calls a value: the variable that its line assigns."""

import operator
import re
from collections import defaultdict
from functools import cache

import torch

from torch_ref.diagnosis.graph.nodes import is_backward, own_lines
from torch_ref.diagnosis.graph.origin import origin_of
from torch_ref.diagnosis.graph.time_steps import steps
from torch_ref.diagnosis.graph.trace import Trace

ASSIGNED = re.compile(r"(\w+)\s*(?::[^=]+)?=(?!=)")


@cache
def variable_of(trace: Trace, i: int, *, anywhere: bool = False) -> str:
    """What the source calls a value of the forward pass: the variable of its line, if it is the last of the line.

    anywhere: though another line assigns it too, as that before a loop.
    """
    node = trace.nodes[i]
    if one := _one_of_a_row(trace, i):
        return one
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


PARTS = operator.getitem, torch.ops.aten.squeeze.dims, torch.ops.aten.select.int
UNPACKED = re.compile(r"\w+(?:\s*,\s*\w+)+(?=\s*=[^=])")


def row(line: str) -> list[str]:
    """The variables that a line assigns in a row; none, if it does not."""
    found = UNPACKED.match(line)
    return re.split(r"\s*,\s*", found[0]) if found else []


def _own_row(trace: Trace, i: int) -> list[str]:
    """The same of the line of a node; none if it is computed by a module that is called there."""
    origin = origin_of(trace, i)
    name = origin.module[0].rpartition(".")[2]
    return [] if name and f"{name}(" in origin.line else row(origin.line)


def unpacked(trace: Trace, i: int) -> str:
    """Which of the variables that a line assigns in a row, such as q, k and v, a node of either pass is of."""
    origin = origin_of(trace, i)
    if not (names := _own_row(trace, i)):
        return ""
    alike = sorted(number for number, of in trace.blocks.items() if number >= 0 and origin_of(trace, of[0]) == origin)
    return names[alike.index(trace.number(i))] if len(alike) == len(names) and trace.number(i) in alike else ""


def _one_of_a_row(trace: Trace, i: int) -> str:
    """The variable of a part, where a line gives the parts of a tensor a variable each."""
    node, names = trace.nodes[i], _own_row(trace, i)
    if not names or is_backward(node) or node.target not in PARTS:
        return ""
    parts = [j for j in trace.blocks.get(trace.number(i), ()) if trace.nodes[j].target is node.target]
    goes_on = any(origin_of(trace, user).line == origin_of(trace, i).line for user in trace.users[i])
    return names[parts.index(i)] if len(parts) == len(names) and not goes_on else ""


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
