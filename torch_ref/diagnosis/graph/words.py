"""An explanation in the field's words: where, what, and how to mend it."""

from typing import NamedTuple

from torch.fx import Node

from torch_ref.diagnosis.graph.alike import Group
from torch_ref.diagnosis.graph.explanation import (
    BACKWARD,
    DERIVATIVE,
    FOR_SOME,
    FORWARD,
    RECOMPUTED,
    TAKEN,
    VALUE,
    Explanation,
)
from torch_ref.diagnosis.graph.formulas import formula
from torch_ref.diagnosis.graph.origin import Origin, origin_of, steps
from torch_ref.diagnosis.graph.phrases import phrase
from torch_ref.diagnosis.graph.trace import Trace
from torch_ref.diagnosis.graph.vocabulary import operator

PASS = {
    BACKWARD: "in the backward pass of {}",
    TAKEN: "in what the backward pass takes from the forward pass, in {}",
    FOR_SOME: "in what the backward pass takes from the forward pass for these alone, in {}",
    RECOMPUTED: "in what the backward pass takes from the forward pass, in {}",
    VALUE: "in the forward pass, in {}",
    FORWARD: "in the forward pass, in {}",
    DERIVATIVE: "in the derivative of {}",
}


class Words(NamedTuple):
    """name: in short."""

    name: str
    text: str


def sentence(trace: Trace, explanation: Explanation) -> Words:
    """What is wrong, where, and what is expected there."""
    i = explanation.group[0]
    what = phrase(trace, explanation)
    if explanation.way == DERIVATIVE and explanation.change.kind == "cut":
        what = f"{formula(trace, i)} is taken as a constant"
    where = place(source(trace, i))
    cut = explanation.change.kind == "cut"
    text = f"{what}, {PASS[explanation.way].format(where)}{at_steps(trace, explanation.group, cut=cut)}"
    told = Words(what, f"{text}.{_expected(trace, i)}")
    if explanation.before:
        before = sentence(trace, explanation.before)
        return Words(f"{before.name}; {told.name}", f"{before.text} And {told.text}")
    return told


def _expected(trace: Trace, i: int) -> str:
    """The formula that belongs there, if it says anything."""
    if trace.nodes[i].meta.get("is_gradient_acc"):
        return " Expected there: the sum over both paths."
    expected = formula(trace, i)
    if expected.startswith(("the ", "a ", "`")) and " " not in expected.removeprefix("the "):
        return ""
    about = " (g: the gradient that comes in)" if _mentions_g(expected) else ""
    return f" Expected there: {expected}{about}."


def _mentions_g(text: str) -> bool:
    return any(word.strip("()-ᵀ") == "g" for word in text.split())


def _told(trace: Trace, i: int) -> int:
    """A sum of gradients has no place of its own: that of what it sums."""
    node = trace.nodes[i]
    while node.meta.get("is_gradient_acc"):
        summed = [argument for argument in reversed(node.args) if isinstance(argument, Node)]
        node = next((argument for argument in summed if argument.op == "call_function"), summed[0])
    return trace.position[node]


def source(trace: Trace, i: int) -> Origin:
    """Where a node comes from. A sum of gradients has no place of its own: it has that of what it sums."""
    return origin_of(trace, _told(trace, i))


def place(origin: Origin) -> str:
    """The operator, the module by name and class, the line."""
    name, kind = origin.module
    module = f" in `{name}` ({kind})" if name else f" in {kind}" if kind else ""
    line = f", at `{origin.line}`" if origin.line else ""
    return f"the {operator(origin.operator)}{module}{line}"


def at_steps(trace: Trace, group: Group, *, cut: bool = False) -> str:
    """At which of the time steps, where a line runs several times. The first step is 1. cut: whether all is zero."""
    found = [steps(trace).get(trace.number(_told(trace, i))) for i in group]
    several = [step for step in found if step and step.steps > 1]
    if not several:
        return ""
    count, at = several[0].steps, sorted({step.step + 1 for step in several})
    if len(at) == count:
        return f", at each of the {count} steps"
    truncated = cut and at in (list(range(1, count)), list(range(2, count + 1)))
    rest = ": nothing flows back through time" if truncated else ""
    return f", at step{'s' * (len(at) > 1)} {', '.join(map(str, at))} of {count}{rest}"
