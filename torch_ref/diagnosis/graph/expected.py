"""How to mend a mistake: the formula that belongs there."""

import re
from typing import Any

import torch
from torch.fx import Node

from torch_ref.diagnosis.graph.alike import Group
from torch_ref.diagnosis.graph.explanation import Explanation
from torch_ref.diagnosis.graph.formulas import LEFT_OUT, G, formula
from torch_ref.diagnosis.graph.gates import letters_at
from torch_ref.diagnosis.graph.naming import axes_of
from torch_ref.diagnosis.graph.origin import origin_of
from torch_ref.diagnosis.graph.paths import is_direct
from torch_ref.diagnosis.graph.slopes import activation_of, derivative_of
from torch_ref.diagnosis.graph.time_steps import in_time
from torch_ref.diagnosis.graph.trace import Trace
from torch_ref.diagnosis.graph.vocabulary import operator
from torch_ref.diagnosis.graph.where import addends, told_at

aten: Any = torch.ops.aten
TELLING = {  # changes that say themselves what belongs there
    *(
        "skipped",
        "windows overwritten",
        "windows cut",
        "first of each",
        "another count",
        "dilation ignored",
        "stride ignored",
        "split",
    ),
    *("overwritten", "overwritten in each sample", "all counted", "in place of", "constant in a term"),
    *("another index", "substituted", "updated", "cut in", "stray", "stray slope", "constant outside the root"),
}
OPENINGS = "the row of index", "the copies"  # of what says itself what belongs there
ENOUGH = " is skipped", " is not detached", " stand in place of ", "the sum of all that comes in"  # likewise
SHORTEST, LONGEST = 3, 100  # signs of a formula that is told
LEGEND = {G: "the gradient that comes in", "x": "what goes into it", "y": "what comes out"}
NUMBER = re.compile(r"\d+(\.\d+)?")
WORD, QUOTED = re.compile(r"[^\W\d_ᵀ²³]+"), re.compile("`[^`]*`")


def expected(trace: Trace, explanation: Explanation, what: str) -> str:
    """The formula that belongs there, if it says anything that was not said."""
    i, kind = explanation.group[0], explanation.change.kind
    if kind in TELLING or what.startswith(OPENINGS) or any(words in what for words in ENOUGH):
        return ""
    if trace.nodes[i].meta.get("is_gradient_acc"):
        return _missing_term(trace, explanation) or f" Expected there: the sum over {_paths_to(trace, i)}."
    last = trace.blocks[trace.number(i)][-1] if trace.number(i) in trace.blocks else i
    derivative = derivative_of(trace, last) if activation_of(trace, last) else ""  # of a part of it, that of the whole
    right = derivative or formula(trace, i)
    is_name = right.startswith(("the ", "a ")) or not set(right) & set(" ᵀ²³(√")
    is_told = not _is_of_one_step(trace, explanation.group)
    is_told = is_told and not any(words in right for words in (LEFT_OUT, "a term in", "the gradient to the"))
    if is_name or not is_told or not SHORTEST <= len(right) <= LONGEST or not WORD.search(right):
        return ""
    letters = {word for word in WORD.findall(QUOTED.sub("", right)) if word in LEGEND and (derivative or word == G)}
    meant = [f"{letter}: {of}" for letter, of in LEGEND.items() if letter in letters]
    if f"`{G}`" in right or G in (letters_at(trace, i) or ""):  # someone's own variable, or an LSTM's gate
        right = re.sub(rf"(?<!`)\b{G}\b(?!`)", "d", right)
        meant = [line.replace(f"{G}:", "d:") for line in meant]
    meant += [over for over in [_over(trace, i, right)] if over]
    is_whole = derivative or all(trace.number(user) != trace.number(i) for user in trace.users[i])
    if right in what:
        return ""
    legend = f" ({'; '.join(meant)})" if meant else ""
    if others := [] if is_whole else _other_parts(trace, explanation.group, right):
        return f" Those parts should be {' and '.join([right, *others])}{legend}."
    return f" {'Expected there:' if is_whole else 'That part should be'} {right}{legend}."


def _other_parts(trace: Trace, group: Group, right: str) -> list[str]:
    """The formulas of other nodes of the same operator, where they are wrong in the same way."""
    parts = dict.fromkeys(formula(trace, i) for i in group[1:] if trace.number(i) == trace.number(group[0]))
    texts = [text for text in parts if text != right and LEFT_OUT not in text and len(text) <= LONGEST]
    return texts if len(texts) < 3 else []


def _missing_term(trace: Trace, explanation: Explanation) -> str:
    """Of a sum of gradients that lacks one of the two, the formula of that one, if it can be said."""
    node = trace.nodes[explanation.group[0]]
    if explanation.change.kind != "passed on":
        return ""
    missing = node.args[1 - explanation.change.detail[0]]
    if is_direct(trace, node, missing):
        return " Add it as it is."
    if not isinstance(missing, Node) or missing.op != "call_function":
        return ""
    parts = [i for i in addends(trace, trace.position[missing]) if origin_of(trace, i).operator not in ("stack", "cat")]
    if len(parts) != 1:
        return ""
    text = formula(trace, parts[0], 2)
    is_told = LEFT_OUT not in text and "the " not in text and SHORTEST <= len(text) <= LONGEST and WORD.search(text)
    is_gradient = G in WORD.findall(QUOTED.sub("", text)) and "`g`" not in text
    return f" Add {text} ({G}: {LEGEND[G]} there)." if is_told and is_gradient else ""


def _is_of_one_step(trace: Trace, group: Group) -> bool:
    """Whether a formula has a number that is another one at another step."""
    there = [formula(trace, i) for i in group[:2] if origin_of(trace, i) == origin_of(trace, group[0])]
    return len(set(there)) == 2 and len({NUMBER.sub("", text) for text in there}) == 1


def _paths_to(trace: Trace, i: int) -> str:
    """How many gradients are added up in the whole sum that a node is a step of."""
    top = i
    while after := [user for user in trace.users[top] if trace.nodes[user].meta.get("is_gradient_acc")]:
        top = after[0]
    count = len(addends(trace, top))
    return "both paths" if count == 2 else "all steps" if in_time(trace, told_at(trace, i)) else f"all {count} paths"


def _over(trace: Trace, i: int, expected: str) -> str:
    """The axes of the sums and means in a formula, if they are the same."""
    word = "Σ" if "Σ" in expected else "mean"
    if word not in expected or any(words in expected for words in (" of the same index", "patches")):
        return ""
    new, axes = [i], set()
    while new:
        j = new.pop()
        node = trace.nodes[j]
        if node.target in (aten.sum.dim_IntList, aten.mean.dim) and node.args[1]:  # not over everything
            axes.add(axes_of(trace, j, [axis % _dim(trace, node) for axis in node.args[1]], summed=True))
        new += [k for of in node.all_input_nodes if trace.number(k := trace.position[of]) == trace.number(i)]
    kind = operator(origin_of(trace, i).operator)
    grouped = {"group norm": "each group", "instance norm": "each channel of each sample"}.get(kind)
    over = grouped if grouped and word == "mean" else axes.pop() if len(axes) == 1 else ""
    return f"{word} over {over}" if over else ""


def _dim(trace: Trace, node: Node) -> int:
    return trace.values[trace.position[node.args[0]]].dim()
