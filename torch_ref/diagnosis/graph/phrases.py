"""What is wrong, by the kind of change."""

from collections.abc import Callable
from typing import Any

import torch
from torch.fx import Node

from torch_ref.diagnosis.graph.change import Change
from torch_ref.diagnosis.graph.edges import original
from torch_ref.diagnosis.graph.explanation import RECOMPUTED, Explanation
from torch_ref.diagnosis.graph.formulas import formula, named, operator
from torch_ref.diagnosis.graph.naming import argument, one_path, role, subject
from torch_ref.diagnosis.graph.nodes import is_backward
from torch_ref.diagnosis.graph.origin import origin_of
from torch_ref.diagnosis.graph.slopes import activation_of
from torch_ref.diagnosis.graph.trace import Trace

aten: Any = torch.ops.aten


def phrase(trace: Trace, explanation: Explanation) -> str:
    """What is wrong."""
    roles = dict.fromkeys(role(trace.nodes[i]) for i in explanation.group)
    if explanation.change.kind == "cut" and len(roles) > 1 and all(roles):
        return f"{' and '.join(roles)} are missing"
    if explanation.change.kind == "cut" and explanation.way == RECOMPUTED:
        return f"{subject(trace, explanation.group[0])} is taken to be 0"
    return _told(trace, explanation.group[0], explanation.change)


def _told(trace: Trace, i: int, change: Change) -> str:
    if change.kind in TOLD:
        return TOLD[change.kind](trace, i, *change.detail)
    axes = " and ".join(map(str, change.detail[:1] if change.kind != "flipped" else change.detail))
    return (
        f"{subject(trace, i)} is {change.kind} along axis {axes}" if axes else f"{subject(trace, i)} is {change.kind}"
    )


def _passed_on(trace: Trace, i: int, j: int) -> str:
    node = trace.nodes[i]
    others = [k for k in range(len(node.args)) if k != j and isinstance(node.args[k], Node)]
    if node.meta.get("is_gradient_acc"):
        return one_path(trace, node, j)
    if node.target in (aten.where.self, aten.permute.default, aten.flip.default):
        return _not_moved(trace, i)
    if (found := activation_of(trace, i)) and node.args[j] is trace.nodes[found[2]]:
        return f"the derivative of the {operator(origin_of(trace, i).operator)} is missing"
    if node.target in (aten.div.Tensor, aten.div.Scalar) and j == 0:
        return f"the division by {argument(trace, i, 1)} is missing"
    factors = aten.mul.Tensor, aten.mul.Scalar, aten.mm.default, aten.bmm.default
    if others or len(node.args) > 1:
        other = others[0] if others else 1 - min(j, 1)
        kind = "factor" if node.target in factors else "term"
        what = f"the {kind} {argument(trace, i, other).removeprefix('the ')}"
        return f"{role(node.args[other]) or what} is missing"
    return f"the {operator(str(node.target).removeprefix('aten.').partition('.')[0])} is left out"


def _inner(trace: Trace, i: int) -> str:
    """What a node gives: by its formula, if it is a part of an operator."""
    is_part = any(trace.number(user) == trace.number(i) for user in trace.users[i])
    return formula(trace, i) if is_part and not role(trace.nodes[i]) else subject(trace, i)


def _transposed(right: str) -> str:
    """What is wrong, where this is right."""
    if right.endswith("ᵀ"):
        return f"{right[:-1]} is not transposed"
    return f"{right} is transposed, and should not be"


def _not_moved(trace: Trace, i: int) -> str:
    target = trace.nodes[i].target
    if target is aten.flip.default:
        return f"{argument(trace, i, 0)} is not flipped"
    return "the mask is not applied" if target is aten.where.self else _transposed(formula(trace, i, 3, top=False))


def _slope(trace: Trace, i: int, name: str) -> str:
    op = operator(origin_of(trace, i).operator)
    if name == "1":
        return f"the derivative of the {op} is missing, the gradient is passed on"
    return f"the derivative of the {op} is computed as {name} (x: what goes into it, y: what comes out)"


def _over(trace: Trace, i: int, axes: tuple[int, ...], right: tuple[int, ...], _dim: int) -> str:
    def said(some: tuple[int, ...]) -> str:
        return f"{'axis' if len(some) == 1 else 'axes'} {', '.join(map(str, some))}"

    word = "mean" if trace.nodes[i].target is aten.mean.dim else "sum"
    return f"the {word} is taken over {said(axes)}, not {said(right)}"


def _not_summed(trace: Trace, i: int) -> str:
    if operator(origin_of(trace, i).operator) == "softmax" and is_backward(trace.nodes[i]):
        return "only the diagonal of the Jacobian is used"
    return "the sum is left out"


def _constant(trace: Trace, i: int, key: int | str, other: Callable[[Any], Any]) -> str:
    node = trace.nodes[i]
    constant = node.args[key] if isinstance(key, int) else node.kwargs[key]
    new, old = (f"{c:.6g}" if isinstance(c, float) else str(c) for c in (other(constant), constant))
    if operator(origin_of(trace, i).operator) == "embedding" and constant == -1:
        return f"the row of index {new} gets no gradient, as with padding_idx={new}"
    if key == "correction":
        return (
            "the variance divides by n - 1, not by n" if other(constant) else "the variance divides by n, not by n - 1"
        )
    if node.target is aten.pow.Tensor_Scalar:
        return f"the exponent is {new}, not {old}"
    return f"{key} is {new}, not {old}" if isinstance(key, str) else f"{new} stands in place of {old}"


def _another(trace: Trace, i: int, j: int, other: int) -> str:
    return f"{named(trace, other)} is used in place of {argument(trace, i, j)}"


def _block(trace: Trace, i: int, axis: int, k: int, count: int, *, dropped: bool) -> str:
    state = "is zero" if dropped else "is all there is"
    return f"of {subject(trace, i)}, block {k + 1} of {count} along axis {axis} {state}"


def _end(trace: Trace, i: int, axis: int, *, which: str, dropped: bool) -> str:
    state = "is zero" if dropped else "is all there is, the rest is zero"
    return f"of {subject(trace, i)}, the {which} along axis {axis} {state}"


TOLD: dict[str, Callable[..., str]] = {
    "cut": lambda t, i: f"{subject(t, i)} is missing" if role(t.nodes[i]) else f"{subject(t, i)} is cut: zero",
    "negated": lambda t, i: f"the sign of {_inner(t, i)} is the wrong way round",
    "passed on": _passed_on,
    "other sign": lambda t, i: f"the sign of {argument(t, i, 1)} is the wrong way round",
    "twice": lambda t, i, j: f"{argument(t, i, j)} is applied twice",
    "multiplied": lambda t, i: f"multiplied by {argument(t, i, 1)}, not divided",
    "not transposed": lambda t, i, j: _transposed(argument(t, i, j)),
    "reshaped": lambda t, i: f"{argument(t, i, 0)} is reshaped, where its axes have to change places",
    "overwritten": lambda *_: (
        "where an index is repeated, the last one overwrites the others; add them up, as np.add.at does"
    ),
    "windows overwritten": lambda _t, _i, which: (
        f"where windows overlap, the {which} one overwrites the others; add up what they give"
    ),
    "condition swapped": lambda *_: "the two sides of the condition are exchanged",
    "constant outside the root": lambda t, i: (
        f"the constant {_inner_constant(t, i)} is added after the root, not under it"
    ),
    "indices shifted": lambda *_: "the indices are shifted by one",
    "sum for mean": lambda t, i: f"a sum stands where the mean belongs ({argument(t, i, 0)})",
    "mean for sum": lambda t, i: f"a mean stands where the sum belongs ({argument(t, i, 0)})",
    "not summed": _not_summed,
    "over other axes": _over,
    "only the first": lambda _t, _i, axes: (
        f"only the first along axis {', '.join(map(str, axes))} counts, not the sum over all"
    ),
    "only the last": lambda _t, _i, axes: (
        f"only the last along axis {', '.join(map(str, axes))} counts, not the sum over all"
    ),
    "constant": _constant,
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
    "another value": _another,
    "stride ignored": lambda *_: "the stride is not taken into account",
    "scaled": lambda t, i, factor: f"{subject(t, i)} is {factor} times what it should be",
    "edge": lambda t, i, j, change: f"{_told(t, t.position[original(t.nodes[i].args[j])], change)}, here alone",
    "always": lambda t, i, value: _always(t, i, value=value),
    "all counted": lambda *_: "all are counted, those that are left out too",
}


def _always(trace: Trace, i: int, *, value: bool) -> str:
    node = trace.nodes[i]
    sign = {"ne": "≠", "eq": "=", "lt": "<", "le": "≤", "gt": ">", "ge": "≥"}.get(str(node.target).split(".")[1], "")
    if value and all("sum" in str(user.target) or "_to_copy" in str(user.target) for user in node.users):
        return "all are counted, those that are left out too"
    condition = f"the condition {argument(trace, i, 0)} {sign} {argument(trace, i, 1)}" if sign else "the mask"
    return f"{condition} is not looked at, as if it {'always' if value else 'never'} held"


def _inner_constant(trace: Trace, i: int) -> str:
    inner = trace.nodes[i].args[0]
    return f"{inner.args[1]:g}" if isinstance(inner, Node) else ""
