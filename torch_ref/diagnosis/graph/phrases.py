"""What is wrong, by the kind of change."""

from collections.abc import Callable
from typing import Any

import torch

from torch_ref.diagnosis.graph.change import Change
from torch_ref.diagnosis.graph.edges import original
from torch_ref.diagnosis.graph.explanation import GRADIENTS_ALONE, Explanation
from torch_ref.diagnosis.graph.formulas import formula
from torch_ref.diagnosis.graph.naming import argument, role, squared, subject
from torch_ref.diagnosis.graph.origin import origin_of
from torch_ref.diagnosis.graph.phrases_of_operators import (
    always,
    another,
    constant,
    constant_in_a_term,
    in_place_of,
    inner,
    inner_constant,
    not_summed,
    passed_on,
    scaled,
    stray,
    transposed,
    weighted,
)
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
    if explanation.change.kind == "cut" and explanation.way in GRADIENTS_ALONE:
        return f"{subject(trace, explanation.group[0])} is taken to be 0"
    return _told(trace, explanation.group[0], explanation.change)


def _told(trace: Trace, i: int, change: Change) -> str:
    if change.kind in TOLD:
        return TOLD[change.kind](trace, i, *change.detail)
    axes = " and ".join(map(str, change.detail[:1] if change.kind != "flipped" else change.detail))
    return (
        f"{subject(trace, i)} is {change.kind} along axis {axes}" if axes else f"{subject(trace, i)} is {change.kind}"
    )


def _slope(trace: Trace, i: int, name: str) -> str:
    op = operator(origin_of(trace, i).operator)
    if name == "1":
        return f"the derivative of the {op} is missing, the gradient is passed on"
    return f"the derivative of the {op} is computed as {name} (x: what goes into it, y: what comes out)"


def _over(trace: Trace, i: int, axes: tuple[int, ...], right: tuple[int, ...], _dim: int) -> str:
    def said(some: tuple[int, ...]) -> str:
        return f"{'axis' if len(some) == 1 else 'axes'} {', '.join(map(str, some))}"

    return f"the {_sum_word(trace, i)} is taken over {said(axes)}, not {said(right)}"


def _sum_word(trace: Trace, i: int) -> str:
    return "mean" if trace.nodes[i].target is aten.mean.dim else "sum"


def _split(_trace: Trace, _i: int, sizes: tuple[tuple[int, ...], ...], joined: bool) -> str:  # noqa: FBT001  # a detail
    """Which axes are read in another order."""
    said = " and of ".join(" × ".join(map(str, some)) for some in sizes)
    if joined:
        return f"axes of {said} are joined in another order: let them change places before the reshape"
    return f"an axis of {said} is split in another order: reshape to these sizes in this order"


def _skipped(trace: Trace, i: int, j: int, is_above: bool) -> str:  # noqa: FBT001  # a detail
    """A gradient of further up, or another one."""
    if is_above:
        return f"{subject(trace, i)} is {subject(trace, j)} as it is: what lies between is skipped"
    return f"{subject(trace, i)} is a copy of {subject(trace, j)}"


def _edge(trace: Trace, i: int, j: int, change: Change) -> str:
    """What one user of a value does not see."""
    node = trace.nodes[i]
    if node.target is aten.where.self and change.kind == "cut" and i in trace.gradients:
        condition = formula(trace, trace.position[node.args[0]], 3)
        return f"{subject(trace, i)} is cut: zero {'where' if j == 1 else 'except where'} {condition}"
    return _told(trace, trace.position[original(node.args[j])], change)


def _block(trace: Trace, i: int, axis: int, k: int, count: int, *, dropped: bool) -> str:
    state = "is zero" if dropped else "is all there is"
    return f"of {subject(trace, i)}, block {k + 1} of {count} along axis {axis} {state}"


def _end(trace: Trace, i: int, axis: int, *, which: str, dropped: bool) -> str:
    state = "is zero" if dropped else "is all there is, the rest is zero"
    return f"of {subject(trace, i)}, the {which} along axis {axis} {state}"


WINDOWS = {"end": "ends where the next begins", "begin": "begins where the one before ends"}
COUNTS = {
    "own": "the number of its elements without the padding",
    "whole": "the number of its elements with the padding",
    "equal": "one number for all, the size of the input over the number of windows",
}
TOLD: dict[str, Callable[..., str]] = {
    "cut": lambda t, i: f"{subject(t, i)} is missing" if role(t.nodes[i]) else f"{subject(t, i)} is cut: zero",
    "negated": lambda t, i: f"the sign of {inner(t, i)} is the wrong way round",
    "passed on": passed_on,
    "other sign": lambda t, i: f"the sign of {argument(t, i, 1)} is the wrong way round",
    "twice": lambda t, i, j: f"the factor {argument(t, i, j).removeprefix('the ')} is applied twice",
    "multiplied": lambda t, i: f"multiplied by {argument(t, i, 1)}, not divided",
    "not transposed": lambda t, i, j: transposed(argument(t, i, j)),
    "reshaped": lambda t, i: f"{argument(t, i, 0)} is reshaped, where its axes have to change places",
    "overwritten": lambda *_: (
        "where an index is repeated, the last one overwrites the others; add them up, as np.add.at does"
    ),
    "overwritten in each sample": lambda *_: (
        "where an index is repeated in a sample, the last one overwrites the others; add them up, as np.add.at does"
    ),
    "windows overwritten": lambda _t, _i, which: (
        f"where windows overlap, the {which} one overwrites the others; add up what they give"
    ),
    "over a merged axis": lambda t, i, _axis, of_batch: (
        f"the {_sum_word(t, i)} is taken over {'the batch' if of_batch else 'what is one axis with the batch'} too"
    ),
    "all pairs": lambda _t, _i, name: (
        f"each prediction is compared with every one of {name}, not with its own: shapes such as (batch, 1) and "
        "(batch,) are broadcast to (batch, batch); give both the same shape"
    ),
    "split": _split,
    "skipped": _skipped,
    "dilation ignored": lambda *_: "the dilation is not taken into account",
    "windows cut": lambda _t, _i, where: f"where windows overlap, each {WINDOWS[where]}",
    "another count": lambda _t, _i, what: f"what a window gives is divided by {COUNTS[what]}",
    "factors exchanged": lambda *_: "the gradients to the two factors are exchanged",
    "condition swapped": lambda *_: "the two sides of the condition are exchanged",
    "constant outside the root": lambda t, i: (
        f"the constant {inner_constant(t, i)} is added after the root, not under it"
    ),
    "indices shifted": lambda *_: "the indices are shifted by one",
    "sum for mean": lambda t, i: f"a sum stands where the mean belongs ({argument(t, i, 0)})",
    "mean for sum": lambda t, i: f"a mean stands where the sum belongs ({argument(t, i, 0)})",
    "n - 1": lambda t, i: f"the mean divides by n - 1, not by n ({argument(t, i, 0)})",
    "not summed": not_summed,
    "over other axes": _over,
    "only the first": lambda _t, _i, axes: (
        f"only the first along axis {', '.join(map(str, axes))} counts, not the sum over all"
    ),
    "only the last": lambda _t, _i, axes: (
        f"only the last along axis {', '.join(map(str, axes))} counts, not the sum over all"
    ),
    "constant": constant,
    "another slice": lambda _t, _i, axis, shift: (
        f"the slice along axis {axis} begins {abs(shift)} too {'late' if shift > 0 else 'early'}"
    ),
    "slope": _slope,
    "activation": lambda t, i, name: f"{name} stands in place of the {operator(origin_of(t, i).operator)}",
    "transposed": lambda t, i, a, b: f"{subject(t, i)} has its axes {a} and {b} exchanged",
    "block dropped": lambda t, i, axis, k, n: _block(t, i, axis, k, n, dropped=True),
    "block kept": lambda t, i, axis, k, n: _block(t, i, axis, k, n, dropped=False),
    "blocks exchanged": lambda t, i, axis, j, k, n: (
        f"of {subject(t, i)}, blocks {j + 1} and {k + 1} of {n} along axis {axis} are exchanged"
    ),
    "interleaved": lambda t, i, axis, n: f"{subject(t, i)} is interleaved by {n} along axis {axis}",
    "the first dropped": lambda t, i, axis: _end(t, i, axis, which="first", dropped=True),
    "the last dropped": lambda t, i, axis: _end(t, i, axis, which="last", dropped=True),
    "the first kept": lambda t, i, axis: _end(t, i, axis, which="first", dropped=False),
    "the last kept": lambda t, i, axis: _end(t, i, axis, which="last", dropped=False),
    "the step before": lambda t, i, j: f"{argument(t, i, j)} is that of the step before",
    "the step after": lambda t, i, j: f"{argument(t, i, j)} is that of the step after",
    "the first step": lambda t, i, j: f"{argument(t, i, j)} is that of the first step every time",
    "the last step": lambda t, i, j: f"{argument(t, i, j)} is that of the last step every time",
    "another value": another,
    "stride ignored": lambda *_: "the stride is not taken into account",
    "stray": stray,
    "in place of": in_place_of,
    "constant in a term": constant_in_a_term,
    "weighted": weighted,
    "scaled": scaled,
    "edge": _edge,
    "always": lambda t, i, value: always(t, i, value=value),
    "all counted": lambda *_: "all are counted, those that are left out too",
}
