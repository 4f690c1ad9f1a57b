"""An explanation in the field's words: where, what, and how to mend it."""

from typing import NamedTuple

from torch.fx import Node

from torch_ref.diagnosis.graph.alike import Group
from torch_ref.diagnosis.graph.expected import expected
from torch_ref.diagnosis.graph.explanation import Explanation, Way
from torch_ref.diagnosis.graph.formulas import formula
from torch_ref.diagnosis.graph.gates import legend
from torch_ref.diagnosis.graph.paths import is_direct
from torch_ref.diagnosis.graph.phrases import phrase
from torch_ref.diagnosis.graph.trace import Trace
from torch_ref.diagnosis.graph.where import at_steps, places

PASS = {
    Way.BACKWARD: "in the backward pass of {}",
    Way.ONLY: "in the backward pass of {}, only in what goes on to these gradients",
    Way.TAKEN: "in the value that the backward pass uses of {}",
    Way.FOR_SOME: "in the value that the backward pass uses, for these gradients alone, of {}",
    Way.RECOMPUTED: "in the value that the backward pass uses of {}",
    Way.VALUE: "in the forward pass, in {}",
    Way.FORWARD: "in the forward pass, in {}",
    Way.ANOTHER: "in what is differentiated, the result being right, in {}",
    Way.DERIVATIVE: "in the derivative of {}",
}


STRAY = "stray", "stray slope", "in place of"


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
    if explanation.change.kind in ("skipped", "all pairs", "data"):
        return Words(what, f"{what}.")
    cut, at = explanation.change.kind == "cut", _at(trace, explanation)
    where = "on the way to {}" if what.endswith(" is skipped") else PASS[explanation.way]
    at_outputs = explanation.change.kind in STRAY and all(j in trace.ends for j in at)  # what comes out in the end
    text = what if at_outputs else f"{what}, {where.format(places(trace, at))}{at_steps(trace, at, cut=cut)}"
    is_told = " where " in what or " alone, " in what
    elsewhere = "; elsewhere it is right" if explanation.change.kind == "edge" and not is_told else ""
    text = f"{text}{elsewhere}.{expected(trace, explanation, what)}"
    told = Words(what, text + legend(trace, i, text))
    if explanation.before:
        before = sentence(trace, explanation.before)
        return Words(f"{before.name}; {told.name}", f"{before.text} And {told.text}")
    return told


def _at(trace: Trace, explanation: Explanation) -> Group:
    """The nodes whose places and steps are told: of a sum, of the path that is missing, or of the other."""
    nodes = [trace.nodes[i] for i in explanation.group]
    if explanation.change.kind != "passed on" or not all(node.meta.get("is_gradient_acc") for node in nodes):
        return explanation.group
    kept = explanation.change.detail[0]
    missing = [node.args[kept if is_direct(trace, node, node.args[1 - kept]) else 1 - kept] for node in nodes]
    return tuple(trace.position[argument] for argument in missing if isinstance(argument, Node))
