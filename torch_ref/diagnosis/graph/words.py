"""An explanation in the field's words: where, what, and how to mend it."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from torch.fx import Node

from torch_ref.diagnosis.graph.alike import Group
from torch_ref.diagnosis.graph.explanation import Explanation, Way
from torch_ref.diagnosis.graph.formulas import LEFT_OUT, G, formula
from torch_ref.diagnosis.graph.origin import Origin, in_time, origin_of, steps
from torch_ref.diagnosis.graph.phrases import phrase
from torch_ref.diagnosis.graph.quoted import one_of_several
from torch_ref.diagnosis.graph.slopes import DERIVATIVES, activation_of
from torch_ref.diagnosis.graph.trace import Trace
from torch_ref.diagnosis.graph.vocabulary import operator

PASS = {
    Way.BACKWARD: "in the backward pass of {}",
    Way.ONLY: "in the backward pass of {}, only in what goes on to these gradients",
    Way.TAKEN: "in the value that the backward pass uses of {}",
    Way.FOR_SOME: "in the value that the backward pass uses, for these gradients alone, of {}",
    Way.RECOMPUTED: "in the value that the backward pass uses of {}",
    Way.VALUE: "in the forward pass, in {}",
    Way.FORWARD: "in the forward pass, in {}",
    Way.ANOTHER: "in the function that the gradient is of, though not in the result, in {}",
    Way.DERIVATIVE: "in the derivative of {}",
}


TELLING = {  # changes that say themselves what belongs there
    *("skipped", "windows overwritten", "windows cut", "another count", "dilation ignored", "stride ignored", "split"),
    *("overwritten", "overwritten in each sample", "all counted", "in place of", "constant in a term"),
    *("another index", "stray", "stray slope"),
}
ENDINGS = {1: "st", 2: "nd", 3: "rd"}
SHORTEST, LONGEST = 3, 100  # signs of a formula that is told
LEGEND = {G: "the gradient that comes in", "x": "what goes into it", "y": "what comes out"}
WORD, QUOTED = re.compile(r"[^\W\d_ᵀ²³]+"), re.compile("`[^`]*`")


class Words(NamedTuple):
    """name: in short."""

    name: str
    text: str


def sentence(trace: Trace, explanation: Explanation) -> Words:
    """What is wrong, where, and what is expected there."""
    i = explanation.group[0]
    what = phrase(trace, explanation)
    if explanation.way == Way.DERIVATIVE and explanation.change.kind == "cut":
        what = f"{formula(trace, i)} is taken as a constant"
    if explanation.change.kind in ("skipped", "all pairs"):
        return Words(what, f"{what}.")
    where = _places(trace, explanation.group)
    cut = explanation.change.kind == "cut"
    text = f"{what}, {PASS[explanation.way].format(where)}{at_steps(trace, _at(trace, explanation), cut=cut)}"
    is_told = " where " in what or " alone, " in what
    elsewhere = "; elsewhere it is right" if explanation.change.kind == "edge" and not is_told else ""
    told = Words(what, f"{text}{elsewhere}.{_expected(trace, i, explanation.change.kind)}")
    if explanation.before:
        before = sentence(trace, explanation.before)
        return Words(f"{before.name}; {told.name}", f"{before.text} And {told.text}")
    return told


def _at(trace: Trace, explanation: Explanation) -> Group:
    """The nodes whose steps are told: of a sum of gradients that lacks one of the two, that one."""
    nodes = [trace.nodes[i] for i in explanation.group]
    if explanation.change.kind != "passed on" or not all(node.meta.get("is_gradient_acc") for node in nodes):
        return explanation.group
    missing = [node.args[1 - explanation.change.detail[0]] for node in nodes]
    return tuple(trace.position[argument] for argument in missing if isinstance(argument, Node))


def _expected(trace: Trace, i: int, kind: str) -> str:
    """The formula that belongs there, if it says anything."""
    if kind in TELLING:
        return ""
    if trace.nodes[i].meta.get("is_gradient_acc"):
        return " Expected there: the sum over both paths."
    derivative = DERIVATIVES.get(operator(origin_of(trace, i).operator)) if activation_of(trace, i) else None
    expected = derivative or formula(trace, i)
    is_name = expected.startswith(("the ", "a ")) or not set(expected) & set(" ᵀ²³(√")
    is_told = not any(words in expected for words in (LEFT_OUT, "a term in", "the gradient to the"))
    if is_name or not is_told or not SHORTEST <= len(expected) <= LONGEST or not WORD.search(expected):
        return ""
    letters = {word for word in WORD.findall(QUOTED.sub("", expected)) if word in LEGEND and (derivative or word == G)}
    legend = "; ".join(f"{letter}: {what}" for letter, what in LEGEND.items() if letter in letters)
    if f"`{G}`" in expected:  # someone's own variable
        expected, legend = re.sub(rf"(?<!`)\b{G}\b(?!`)", "d", expected), legend.replace(f"{G}:", "d:")
    is_whole = derivative or all(trace.number(user) != trace.number(i) for user in trace.users[i])
    return f" {'Expected there:' if is_whole else 'That part should be'} {expected}{legend and f' ({legend})'}."


def told_at(trace: Trace, i: int) -> int:
    """A sum of gradients has no place of its own: that of what it sums."""
    node = trace.nodes[i]
    while node.meta.get("is_gradient_acc"):
        summed = [argument for argument in reversed(node.args) if isinstance(argument, Node)]
        node = next((argument for argument in summed if argument.op == "call_function"), summed[0])
    return trace.position[node]


def _summed(trace: Trace, i: int) -> list[int]:
    """What a sum of gradients sums, if all of it comes from one place; any other node by itself."""
    parts, new = [], [i]
    while new:
        node = trace.nodes[j := new.pop()]
        if node.meta.get("is_gradient_acc"):
            new += [trace.position[argument] for argument in node.all_input_nodes]
        else:
            parts.append(j)
    return parts if len({origin_of(trace, j) for j in parts}) == 1 else [i]


def source(trace: Trace, i: int) -> Origin:
    """Where a node comes from. A sum of gradients has no place of its own: it has that of what it sums."""
    return origin_of(trace, told_at(trace, i))


def place(origin: Origin, text: str = "") -> str:
    """The operator, its text where the line has several, the module by name and class, the line."""
    name, kind = origin.module
    module = f" in `{name}` ({kind})" if name else f" in {kind}" if kind else ""
    line = f", at `{origin.line}`" if origin.line else ""
    return f"the {operator(origin.operator)}{text and f' {text}'}{module}{line}"


def _places(trace: Trace, group: Group) -> str:
    """Where nodes come from: the place of the first, and of how many others."""
    first, *others = dict.fromkeys(place(source(trace, i), one_of_several(trace, told_at(trace, i))) for i in group)
    if len(others) < 2:
        return ", and ".join([first, *others])
    return f"{first}, and likewise at {len(others)} other places"


def at_steps(trace: Trace, group: Group, *, cut: bool = False) -> str:
    """At which of the time steps, where a line runs several times. The first step is 1. cut: whether all is zero."""
    here = source(trace, group[0])
    told = [told_at(trace, j) for i in group if source(trace, i).line == here.line for j in _summed(trace, i)]
    found = [steps(trace).get(trace.number(j)) for j in told]
    several = [step for step in found if step and step.steps > 1]
    if not several:
        return ""
    count, at = several[0].steps, sorted({step.step + 1 for step in several})
    is_each_call = len(at) == count // several[0].calls < count
    if is_each_call or not in_time(trace, told_at(trace, group[0])):  # a line that is run for one thing and another
        return "" if len(at) == count else f", the {_in_a_row(map(_ordinal, at))} of {count} that come from this line"
    if len(at) == count:
        return f", at each of the {count} steps"
    truncated = cut and at in (list(range(1, count)), list(range(2, count + 1))) and not _goes_back(trace, group, count)
    rest = ": nothing flows back through time" if truncated else ""
    return f", at step{'s' * (len(at) > 1)} {', '.join(map(str, at))} of {count}{rest}"


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
