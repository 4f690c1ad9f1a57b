"""Where a node comes from: the module, the operator of the forward pass, its line in the source."""

from collections import defaultdict
from functools import cache
from typing import Any, NamedTuple

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
    operator = str(there[-1].meta.get("original_aten") or there[-1].target)
    return Origin(custom.get("module", ("", "")), operator.removeprefix("aten.").partition(".")[0], line)


class Step(NamedTuple):
    """Of an operator on a line that is run several times: which of the line's operators it is, and in which step."""

    operator: int
    step: int
    steps: int


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
        names = list(operators.values())
        period = next(
            p for p in range(1, len(names) + 1) if len(names) % p == 0 and names == names[:p] * (len(names) // p)
        )
        period = len(names) if period == 1 and len(names) < 3 else period  # x + (y + z)
        for k, number in enumerate(operators):
            found[number] = Step(k % period, k // period, len(names) // period)
    return found
