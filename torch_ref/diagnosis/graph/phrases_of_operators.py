"""What is wrong with an operator, by what stands in its place."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch.fx import Node

from torch_ref.diagnosis.graph.branches import of_side, opposite
from torch_ref.diagnosis.graph.explanation import Explanation
from torch_ref.diagnosis.graph.formulas import LEFT_OUT, formula, named, named_operator
from torch_ref.diagnosis.graph.naming import argument, role, subject
from torch_ref.diagnosis.graph.nodes import is_backward
from torch_ref.diagnosis.graph.origin import origin_of
from torch_ref.diagnosis.graph.paths import one_path
from torch_ref.diagnosis.graph.quoted import quoted
from torch_ref.diagnosis.graph.signs import BETWEEN, SILENT, shown
from torch_ref.diagnosis.graph.slopes import activation_of
from torch_ref.diagnosis.graph.trace import Trace
from torch_ref.diagnosis.graph.uses import step_of
from torch_ref.diagnosis.graph.vocabulary import operator
from torch_ref.diagnosis.named_numbers import written

aten: Any = torch.ops.aten
LONGEST = 40  # signs of a condition that is told
FACTORS = aten.mul.Tensor, aten.mul.Scalar, aten.mm.default, aten.bmm.default
SCATTERS = {
    *(aten.scatter.src, aten.scatter.value, aten.scatter_add.default, aten.index_put.default),
    *(aten.slice_scatter.default, aten.select_scatter.default),
}


def passed_on(trace: Trace, i: int, j: int) -> str:  # noqa: PLR0911  # one case a line
    """An argument stands where the result belongs."""
    node = trace.nodes[i]
    if node.target in SCATTERS and j:
        return "all get the gradient, not only those that are selected"
    others = [k for k in range(len(node.args)) if k != j and isinstance(node.args[k], Node)]
    if node.meta.get("is_gradient_acc"):
        return one_path(trace, node, j)
    if node.target in ALONE:
        return ALONE[node.target](trace, i, j)
    if node.target is aten.copy.default and j == 0:
        masks = isinstance(node.args[1], Node) and node.args[1].target is aten.where.self
        return "the mask is not applied" if masks else "what is assigned is left out"
    constant = (
        node.target in (aten.mul.Tensor, aten.mul.Scalar, aten.div.Tensor, aten.div.Scalar)
        and len([a for a in node.args if isinstance(a, Node)]) == 1
    )
    is_product = origin_of(trace, i).operator.removesuffix("_") in ("mul", "div")
    if not is_product and (found := activation_of(trace, i)) and node.args[j] is trace.nodes[found[2]] and not constant:
        return f"the derivative of the {operator(origin_of(trace, i).operator)} is missing"
    if node.target in (aten.div.Tensor, aten.div.Scalar) and j == 0:
        return f"the division by {argument(trace, i, 1)} is missing"
    if node.target is aten.pow.Tensor_Scalar and j == 0:
        return f"{argument(trace, i, 0)} stands in place of {formula(trace, i, 3)}"
    if node.target in BETWEEN:
        return _one_of_two(trace, i, others[0] if others else 1 - min(j, 1))
    return f"the {operator(str(node.target).removeprefix('aten.').partition('.')[0])} is left out"


def _one_of_two(trace: Trace, i: int, other: int) -> str:
    """A factor or a term that is missing."""
    node = trace.nodes[i]
    kind = "factor" if node.target in FACTORS else "term"
    missing = node.args[other]
    symbol = missing.meta.get("custom", {}).get("symbol") if isinstance(missing, Node) else ""
    if role(missing):
        return f"the factor {symbol} is missing" if symbol and kind == "factor" else f"{role(missing)} is missing"
    what = argument(trace, i, other)
    what = f"y ({what})" if what == named_operator(trace, i) else what  # what it gives itself
    what = what.replace("the gradient that comes in", "g (the gradient that comes in)")
    what = what if what.startswith(("a ", "the gradient")) else f"the {kind} {what.removeprefix('the ')}"
    whole = node.meta.get("custom", {}).get("symbol") or quoted(trace, i)
    of = f" of {whole}" if not isinstance(missing, Node) and whole else ""  # a constant
    return f"{what}{of} is missing"


def transposed(right: str) -> str:
    """What is wrong, where this is right."""
    if right.endswith("ᵀ"):
        return f"{right[:-1]} is not transposed"
    return f"{right} is transposed, and should not be"


def in_the_end(trace: Trace, i: int, factor: str) -> str:
    """A factor as it stands in a product that is transposed after it was computed: (Qᵀ G)ᵀ, to K of Q Kᵀ, is Gᵀ Q."""
    users = [trace.nodes[user] for user in trace.users[i]]
    while len(users) == 1 and users[0].target in SILENT:
        users = [trace.nodes[user] for user in trace.users[trace.position[users[0]]]]
    there = [trace.nodes[j] for j in trace.blocks.get(trace.number(i), ()) if not is_backward(trace.nodes[j])]
    operands = [shown(of) for node in there for of in node.all_input_nodes]
    transposes = {trace.number(trace.position[of]) for of in operands if of.target is aten.permute.default}
    is_back = [_swaps_the_last(of) and trace.number(trace.position[of]) in transposes for of in users]
    return f"{factor}ᵀ".removesuffix("ᵀᵀ") if is_back and all(is_back) else factor


def _swaps_the_last(node: Node) -> bool:
    axes = list(cast("Sequence[int]", node.args[1])) if node.target is aten.permute.default else []
    return axes[:-2] == list(range(len(axes) - 2)) and axes[-2:] == [len(axes) - 1, len(axes) - 2]


def _one_side(trace: Trace, i: int, j: int) -> str:
    """One side of a condition, whether it holds or not."""
    one, other = argument(trace, i, j), argument(trace, i, 3 - j)
    if other != "0":
        return f"{one} stands in place of {other}{of_side(trace, i, 3 - j)}"
    holds = formula(trace, trace.position[trace.nodes[i].args[0]], 3)
    kept = holds if j == 1 else opposite(holds)
    is_told = kept and LEFT_OUT not in kept and len(kept) <= LONGEST and "the " not in kept
    return f"the mask is not applied{f' ({kept})' if is_told else ''}"


def not_moved(trace: Trace, i: int) -> str:
    """Elements are not where they belong."""
    if trace.nodes[i].target is aten.flip.default:
        return f"{argument(trace, i, 0)} is not flipped: its order along {last_axes(trace, i)} is not reversed"
    return transposed(formula(trace, i, 3, top=False))


def last_axes(trace: Trace, i: int) -> str:
    """The axes that an operator is about; what it is about may have more than the user's array, the last are alike."""
    shape, flipped = trace.values[i].shape, cast("Sequence[int]", trace.nodes[i].args[1])
    axes = sorted(axis - len(shape) for axis in flipped if shape[axis] > 1)
    return " and ".join(f"axis {axis}" for axis in axes)


def not_summed(trace: Trace, i: int) -> str:
    """Terms stand where their sum belongs."""
    if operator(origin_of(trace, i).operator) == "softmax" and is_backward(trace.nodes[i]):
        return "only the diagonal of the Jacobian is used"
    return "the sum is left out"


def constant(trace: Trace, i: int, key: int | str, other: Callable[[Any], Any]) -> str:
    """Another constant."""
    node = trace.nodes[i]
    constant = node.args[key] if isinstance(key, int) else node.kwargs[key]
    new, old = (written(c) if isinstance(c, float) else str(c) for c in (other(constant), constant))
    if operator(origin_of(trace, i).operator) == "embedding" and constant == -1:
        return f"the row of index {new} gets no gradient, as with padding_idx={new}"
    if key == "correction":
        return (
            "the variance divides by n - 1, not by n" if other(constant) else "the variance divides by n, not by n - 1"
        )
    if node.target is aten.pow.Tensor_Scalar:
        return f"the exponent is {new}, not {old}"
    if "scaled_dot_product_attention(" in origin_of(trace, i).line and isinstance(
        constant, float
    ):  # half to q, half to k
        return f"the scale of the scores is {written(other(constant) ** 2)}, not {written(constant**2)}"
    return f"{key} is {new}, not {old}" if isinstance(key, str) else f"{new} stands in place of {old}"


def several_constants(trace: Trace, explanation: Explanation) -> str:
    """Other constants where each step of a loop has its own; nothing, if there is one."""
    key, other = explanation.change.detail
    nodes = [trace.nodes[i] for i in sorted(explanation.group, key=lambda i: step_of(trace, i))]
    old = [node.args[key] if isinstance(key, int) else node.kwargs[key] for node in nodes]
    if len(set(old)) == 1 or not all(isinstance(number, int | float) for number in old):
        return ""
    there, right = (", ".join(written(float(number)) for number in of) for of in (map(other, old), old))
    return f"{there} stand in place of {right}"


def inner_constant(trace: Trace, i: int) -> str:
    """The constant that is added under a root."""
    inner = trace.nodes[i].args[0]
    return f"{inner.args[1]:g}" if isinstance(inner, Node) else ""


def constant_in_a_term(trace: Trace, i: int, j: int, key: int | str, other: Callable[[Any], Any]) -> str:
    """A constant that is another one in one term alone."""
    return f"in {subject(trace, i)} alone, {constant(trace, j, key, other)}"


ALONE: dict[Any, Callable[[Trace, int, int], str]] = {
    aten.where.self: _one_side,
    aten.detach.default: lambda t, i, _: f"{named(t, i)} is not detached: a gradient goes back through it",
    **dict.fromkeys((aten.permute.default, aten.flip.default), lambda t, i, _: not_moved(t, i)),
}
