"""What is wrong, by the kind of change."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from torch_ref.diagnosis.graph import own
from torch_ref.diagnosis.graph.branches import of_side, side
from torch_ref.diagnosis.graph.change import Change
from torch_ref.diagnosis.graph.divisors import divided
from torch_ref.diagnosis.graph.explanation import GRADIENTS_ALONE, Explanation
from torch_ref.diagnosis.graph.formulas import LEFT_OUT, formula
from torch_ref.diagnosis.graph.naming import argument, axes_of, goal, is_part, role, squared, subject
from torch_ref.diagnosis.graph.origin import origin_of
from torch_ref.diagnosis.graph.phrases_of_factors import in_place_of, scaled, stray, stray_slope, stray_term, weighted
from torch_ref.diagnosis.graph.phrases_of_masks import all_counted, always
from torch_ref.diagnosis.graph.phrases_of_operators import (
    constant,
    constant_in_a_term,
    in_the_end,
    inner_constant,
    not_summed,
    passed_on,
    several_constants,
    transposed,
)
from torch_ref.diagnosis.graph.phrases_of_others import another, another_index, left_between, substituted, updated
from torch_ref.diagnosis.graph.phrases_of_places import OF_PLACES
from torch_ref.diagnosis.graph.phrases_of_steps import STEPS_AWAY, of_another_step
from torch_ref.diagnosis.graph.trace import Trace
from torch_ref.diagnosis.graph.vocabulary import operator

aten: Any = torch.ops.aten


def phrase(trace: Trace, explanation: Explanation) -> str:
    """What is wrong."""
    roles = dict.fromkeys(role(trace.nodes[i]) for i in explanation.group)
    if explanation.change.kind == "cut" and len(roles) > 1 and all(roles):
        return f"{' and '.join(roles)} are missing"
    if explanation.change.kind == "cut" and (both := squared(trace, explanation.group)):
        return f"a factor 2 is missing: of {both}, one of the two factors alone is differentiated"
    if explanation.change.kind == "constant" and (several := several_constants(trace, explanation)):
        return several
    if explanation.change.kind == "cut" and explanation.way in GRADIENTS_ALONE:
        return f"{subject(trace, explanation.group[0])} is taken to be 0"
    return f"{_told(trace, explanation.group[0], explanation.change)}{side(trace, explanation.group[0])}"


def _told(trace: Trace, i: int, change: Change) -> str:
    if change.kind in TOLD:
        return TOLD[change.kind](trace, i, *change.detail)
    along = change.detail if change.kind == "flipped" else change.detail[:1]
    return f"{subject(trace, i)} is {change.kind}" + (f" along {axes_of(trace, i, along)}" if along else "")


def _slope(trace: Trace, i: int, name: str) -> str:
    op = operator(origin_of(trace, i).operator)
    if name == "1":
        mask = " (as with y >= 0 as its mask, which always holds)" if op == "ReLU" else ""
        return f"the derivative of the {op} is missing, the gradient is passed on{mask}"
    letters = {"x": "what goes into it", "y": "what comes out"}
    meant = ", ".join(
        f"{letter}: {of}" for letter, of in letters.items() if re.search(rf"\b{letter}\b|{letter}²", name)
    )
    return f"the derivative of the {op} is computed as {name}{meant and f' ({meant})'}"


def _skipped(trace: Trace, i: int, j: int, is_above: bool) -> str:  # noqa: FBT001  # a detail
    """A gradient of further up, or another one."""
    if is_above:
        return f"{subject(trace, i)} is {subject(trace, j)} as it is: {left_between(trace, j, i)} is skipped"
    return f"{subject(trace, i)} is a copy of {subject(trace, j)}"


def _edge(trace: Trace, i: int, j: int, change: Change, seen: int) -> str:
    """What one user of a value does not see."""
    node = trace.nodes[i]
    where = of_side(trace, i, j) if node.target is aten.where.self and j else ""
    if where and change.kind == "cut" and i in trace.gradients:
        return f"0 stands in place of {argument(trace, i, j)}{where}"
    told = _told(trace, seen, change)
    to = goal(trace, i, several=True) if i in trace.gradients and not where else ""
    return f"in the gradient to {to} alone, {told}" if to else f"{told}{where}"


def _cut(trace: Trace, i: int) -> str:
    if role(trace.nodes[i]):
        return f"{subject(trace, i)} is missing"
    if i not in trace.gradients or not is_part(trace, i):
        return f"{subject(trace, i)} is cut: zero"
    what = subject(trace, i)
    return f"0 stands in place of {'a term' if LEFT_OUT in what else what}"


TOLD: dict[str, Callable[..., str]] = {
    "cut": _cut,
    "negated": lambda t, i: f"the sign of {subject(t, i)} is the wrong way round",
    "passed on": passed_on,
    "other sign": lambda t, i: f"the sign of {argument(t, i, 1)} is the wrong way round",
    "twice": lambda t, i, j: f"the factor {argument(t, i, j).removeprefix('the ')} is applied twice",
    "multiplied": lambda t, i: f"multiplied by {argument(t, i, 1)}, not divided",
    "not transposed": lambda t, i, j: transposed(in_the_end(t, i, argument(t, i, j))),
    "overwritten": lambda *_: (
        "where an index is repeated, the last one overwrites the others; add them up, as np.add.at does"
    ),
    "overwritten in each sample": lambda *_: (
        "where an index is repeated in a sample, the last one overwrites the others; add them up, as np.add.at does"
    ),
    "all pairs": lambda _t, _i, name: (
        f"each prediction is compared with every one of {name}, not with its own: shapes such as (batch, 1) and "
        "(batch,) are broadcast to (batch, batch); give both the same shape"
    ),
    "data": lambda _t, _i, text: text,
    "skipped": _skipped,
    "factors exchanged": lambda *_: "the gradients to the two factors are exchanged",
    "swapped": lambda t, _i, j, k: (
        f"{formula(t, j, 3, top=False)} and {formula(t, k, 3, top=False)} are exchanged, each stands where the other "
        "belongs"
    ),
    "condition swapped": lambda *_: "the two sides of the condition are exchanged",
    "constant outside the root": lambda t, i: (
        f"the constant {inner_constant(t, i)} is added after the root, not under it: √(…) + {inner_constant(t, i)} "
        f"stands in place of √(… + {inner_constant(t, i)})"
    ),
    "sum for mean": lambda t, i: f"a sum stands where the mean belongs ({argument(t, i, 0)})",
    "mean for sum": lambda t, i: f"a mean stands where the sum belongs ({argument(t, i, 0)})",
    "n - 1": lambda t, i: f"the mean divides by n - 1, not by n ({argument(t, i, 0)})",
    "not summed": not_summed,
    "constant": constant,
    "no statistics": lambda t, i: (
        "a mean of 0 and a variance of 1 stand in place of the computed ones"
        + (", as in evaluation mode before training" if operator(origin_of(t, i).operator) == "batch norm" else "")
    ),
    "slope": _slope,
    "activation": lambda t, i, name: f"{name} stands in place of the {operator(origin_of(t, i).operator)}",
    **{f"the {what}": partial(of_another_step, what=what) for what in STEPS_AWAY},
    "another value": another,
    "substituted": substituted,
    "updated": updated,
    "own": own.told,
    "cut in": lambda *_: "the gradient that comes in is taken to be 0",
    "stray": stray,
    "stray term": stray_term,
    "stray slope": stray_slope,
    "another index": another_index,
    "divided by a size": divided,
    "inverted": lambda t, i: f"the condition {formula(t, i, 3)} is the wrong way round",
    "in place of": in_place_of,
    "constant in a term": constant_in_a_term,
    "weighted": weighted,
    "scaled": scaled,
    "edge": _edge,
    **OF_PLACES,
    "always": lambda t, i, value: always(t, i, value=value),
    "all counted": all_counted,
}
