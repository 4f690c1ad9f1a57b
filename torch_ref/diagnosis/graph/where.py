"""Where a node comes from, in words: the operator, the module, the line, the time steps."""

from collections.abc import Iterable

from torch.fx import Node

from torch_ref.diagnosis.graph.alike import Group
from torch_ref.diagnosis.graph.nodes import is_backward
from torch_ref.diagnosis.graph.origin import Origin, origin_of
from torch_ref.diagnosis.graph.quoted import one_of_several
from torch_ref.diagnosis.graph.time_steps import in_time, steps
from torch_ref.diagnosis.graph.trace import Trace
from torch_ref.diagnosis.graph.variables import unpacked
from torch_ref.diagnosis.graph.vocabulary import operator

ENDINGS = {1: "st", 2: "nd", 3: "rd"}


def addends(trace: Trace, i: int) -> list[int]:
    """What a sum of gradients sums."""
    if not trace.nodes[i].meta.get("is_gradient_acc"):
        return [i]
    return [part for node in trace.nodes[i].all_input_nodes for part in addends(trace, trace.position[node])]


def told_at(trace: Trace, i: int) -> int:
    """A sum of gradients has no place of its own: that of what it sums."""
    node = trace.nodes[i]
    while node.meta.get("is_gradient_acc"):
        summed = [argument for argument in reversed(node.args) if isinstance(argument, Node)]
        node = next((argument for argument in summed if argument.op == "call_function"), summed[0])
    return trace.position[node]


def _summed(trace: Trace, i: int) -> list[int]:
    """What a sum of gradients sums, if all of it comes from one place; any other node by itself."""
    parts = addends(trace, i)
    return parts if len({origin_of(trace, j) for j in parts}) == 1 else [i]


def source(trace: Trace, i: int) -> Origin:
    """Where a node comes from. A sum of gradients has no place of its own: it has that of what it sums."""
    return origin_of(trace, told_at(trace, i))


def place(origin: Origin, text: str = "") -> str:
    """The operator, its text where the line has several, the module by name and class, the line."""
    name, kind = origin.module
    module = f" in `{name}` ({kind})" if name else f" in {kind}" if kind else ""
    line = f", at `{origin.line}`" if origin.line else ""
    name = operator(origin.operator)
    return f"the {text if text.startswith(name) else f'{name} {text}'.rstrip()}{module}{line}"


def places(trace: Trace, group: Group) -> str:
    """Where nodes come from: the place of the first, and of how many others."""
    first, *others = dict.fromkeys(_place_of(trace, told_at(trace, i)) for i in group)
    if len(others) < 2:
        return ", and ".join([first, *others])
    return f"{first}, and likewise at {len(others)} other places"


def _place_of(trace: Trace, i: int) -> str:
    name = unpacked(trace, i)
    return f"{place(origin_of(trace, i), one_of_several(trace, i))}{name and f', for `{name}`'}"


def at_steps(trace: Trace, group: Group, *, cut: bool = False) -> str:
    """At which of the time steps, where a line runs several times. The first step is 1. cut: whether all is zero."""
    here = source(trace, group[0])
    told = [told_at(trace, j) for i in group if source(trace, i).line == here.line for j in _summed(trace, i)]
    found = [steps(trace).get(trace.number(j)) for j in told]
    several = [step for step in found if step and step.steps > 1]
    if not several:
        return _of_parts(trace, group)
    count, at = several[0].steps, sorted({step.step + 1 for step in several})
    is_each_call = len(at) == count // several[0].calls < count
    if is_each_call or not in_time(trace, told_at(trace, group[0])):  # a line that is run for one thing and another
        return "" if len(at) == count else f", the {_in_a_row(map(_ordinal, at))} of {count} that come from this line"
    if len(at) == count:
        return f", at each of the {count} steps"
    truncated = cut and at in (list(range(1, count)), list(range(2, count + 1))) and not _goes_back(trace, group, count)
    rest = ": nothing flows back through time" if truncated else ""
    return f", at step{'s' * (len(at) > 1)} {', '.join(map(str, at))} of {count}{rest}"


def _of_parts(trace: Trace, group: Group) -> str:
    """Which of the parts of a stack, say, where it is not all of them."""
    first = trace.nodes[group[0]]
    parts = [j for j in trace.blocks.get(trace.number(group[0]), ()) if trace.nodes[j].target is first.target]
    parts = [j for j in parts if is_backward(trace.nodes[j]) and trace.nodes[j].args[:1] == first.args[:1]]
    at = [parts.index(i) + 1 for i in group if i in parts]
    is_some = len(at) == len(group) < len(parts) and origin_of(trace, group[0]).operator in ("stack", "cat")
    return f", the {_in_a_row(map(_ordinal, sorted(at)))} of {len(parts)} parts" if is_some else ""


def _goes_back(trace: Trace, group: Group, count: int) -> bool:
    """Whether the gradients of the last of so many steps still reach an earlier one, if these nodes give none."""
    at = {i: of.step for i in trace.gradients if (of := steps(trace).get(trace.number(i))) and of.steps == count}
    new = [i for i in at if at[i] == count - 1 and i not in group]
    found = set(new)
    while new:
        users = [user for user in trace.users[new.pop()] if user not in found and user not in group]
        found.update(users)
        new += users
    first = min(group, key=lambda i: at.get(i, count))
    arrives = not found.isdisjoint(trace.position[node] for node in trace.nodes[first].all_input_nodes)
    return arrives or any(at.get(i, count) < count - 1 for i in found)


def _in_a_row(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def _ordinal(n: int) -> str:
    return f"{n}{ENDINGS.get(n, 'th')}"
