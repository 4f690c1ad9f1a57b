"""What is wrong with where elements are, which are taken together, and which are added up."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from torch_ref.diagnosis.graph.gates import letters_at
from torch_ref.diagnosis.graph.naming import argument, axes_of, subject
from torch_ref.diagnosis.graph.nodes import is_backward
from torch_ref.diagnosis.graph.origin import origin_of
from torch_ref.diagnosis.graph.trace import Trace
from torch_ref.diagnosis.graph.variables import row
from torch_ref.diagnosis.graph.vocabulary import operator

aten: Any = torch.ops.aten


def _over(trace: Trace, i: int, axes: tuple[int, ...], right: tuple[int, ...], _dim: int) -> str:
    said = partial(axes_of, trace, i, summed=True)
    return f"the {sum_word(trace, i)} is taken over {said(axes)}, not {said(right)}"


def sum_word(trace: Trace, i: int) -> str:
    """Whether a node is called a sum or a mean."""
    return "mean" if trace.nodes[i].target is aten.mean.dim else "sum"


def _split(_trace: Trace, _i: int, sizes: tuple[tuple[int, ...], ...], joined: bool) -> str:  # noqa: FBT001  # a detail
    """Which axes are read in another order."""
    said = " and of ".join(" × ".join(map(str, some)) for some in sizes)
    if joined:
        return f"axes of {said} are joined in another order: let them change places before the reshape"
    return f"an axis of {said} is split in another order: reshape to these sizes in this order"


def _block_name(trace: Trace, i: int, k: int, count: int) -> str:
    """The gate or variable that a block is, in parentheses, where there is one for each."""
    names = letters_at(trace, i) or row(origin_of(trace, i).line)
    return f" (`{names[k]}`)" if len(names) == count else ""


def _block(trace: Trace, i: int, axis: int, k: int, count: int, *, dropped: bool) -> str:
    state = "is zero" if dropped else "is all there is"
    name, part = _block_name(trace, i, k, count), "element" if trace.values[i].shape[axis] == count else "block"
    return f"of {subject(trace, i)}, {part} {k + 1} of {count}{name} along {axes_of(trace, i, [axis])} {state}"


def _exchanged(trace: Trace, i: int, axis: int, j: int, k: int, count: int) -> str:
    first, second = (f"{number + 1}{_block_name(trace, i, number, count)}" for number in (j, k))
    blocks = f"blocks {first} and {second} of {count}"
    return f"of {subject(trace, i)}, {blocks} along {axes_of(trace, i, [axis])} are exchanged"


def _end(trace: Trace, i: int, axis: int, *, which: str, dropped: bool) -> str:
    state = "is zero" if dropped else "is all there is, the rest is zero"
    return f"of {subject(trace, i)}, the {which} along {axes_of(trace, i, [axis])} {state}"


def _transposed(trace: Trace, i: int, a: int, b: int) -> str:
    if "repeat_interleave(" in origin_of(trace, i).line and trace.nodes[i].target is aten.clone.default:
        return "the copies are in another order: tiled (0, 1, 0, 1), not each repeated in a row (0, 0, 1, 1)"
    return f"{subject(trace, i)} has its axes {a} and {b} exchanged"


def _slice(trace: Trace, i: int, axis: int, shift: int) -> str:
    late = f"{abs(shift)} too {'late' if shift > 0 else 'early'}"
    if is_backward(trace.nodes[i]) and operator(origin_of(trace, i).operator).endswith("convolution"):
        return f"of what is padded, the part that is kept along {axes_of(trace, i, [axis])} begins {late}"
    return f"the slice along {axes_of(trace, i, [axis])} begins {late}"


def _spread(trace: Trace, i: int, axis: int, *, what: str) -> str:
    along = axes_of(trace, i, [axis])
    return f"{subject(trace, i)} is {what} over {along} too: one number for all, where each has its own"


WINDOWS = {
    "end": "where windows overlap, each ends where the next begins; let them overlap",
    "begin": "where windows overlap, each begins where the one before ends; let them overlap",
    "first": "the first element of each window gets all that the window gives",
    "first alone": "the first element of each window alone gets its share",
    "last alone": "the last element of each window alone gets its share",
    "last": "the last element of each window gets all that the window gives",
}
COUNTS = {
    "own": "the number of its elements without the padding",
    "whole": "the number of its elements with the padding",
    "equal": "one number for all, the size of the input over the number of windows",
}
OF_PLACES: dict[str, Callable[..., str]] = {
    "reshaped": lambda t, i: f"{argument(t, i, 0)} is reshaped, where its axes have to change places",
    "windows overwritten": lambda _t, _i, which: (
        f"where windows overlap, the {which} one overwrites the others; add up what they give"
    ),
    "over a merged axis": lambda t, i, _axis, of_batch: (
        f"the {sum_word(t, i)} is taken over {'the batch' if of_batch else 'what is one axis with the batch'} too"
    ),
    "split": _split,
    "summed and spread": partial(_spread, what="summed"),
    "averaged and spread": partial(_spread, what="averaged"),
    "minus its mean": lambda t, i, axis: f"of {subject(t, i)}, the mean along {axes_of(t, i, [axis])} is taken off",
    "dilation ignored": lambda *_: "the dilation is not taken into account",
    "windows cut": lambda _t, _i, where: WINDOWS[where],
    "first of each": lambda *_: "the first element of each window gets the gradient, not the largest",
    "shared": lambda *_: "each element of a window gets the same share, though all belongs to the largest",
    "windows in a row": lambda *_: (
        "the windows are laid out one after another: let the axes change places before the reshape, for rows to be rows"
    ),
    "another count": lambda _t, _i, what: f"what a window gives is divided by {COUNTS[what]}",
    "indices shifted": lambda *_: "the indices are shifted by one",
    "over other axes": _over,
    "divided by fewer": lambda t, i, some, right: (
        f"the mean is divided by the size of {axes_of(t, i, some, summed=True)} alone, not of "
        f"{axes_of(t, i, right, summed=True)}"
    ),
    "only the first": lambda t, i, axes: (
        f"only the first along {axes_of(t, i, axes, summed=True)} counts, not the sum over all"
    ),
    "only the last": lambda t, i, axes: (
        f"only the last along {axes_of(t, i, axes, summed=True)} counts, not the sum over all"
    ),
    "only the first of each": lambda t, i, _axis: (
        f"only the first of each sample counts, not the {sum_word(t, i)} over all"
    ),
    "only the last of each": lambda t, i, _axis: (
        f"only the last of each sample counts, not the {sum_word(t, i)} over all"
    ),
    "another slice": _slice,
    "transposed": _transposed,
    "block dropped": lambda t, i, axis, k, n: _block(t, i, axis, k, n, dropped=True),
    "block kept": lambda t, i, axis, k, n: _block(t, i, axis, k, n, dropped=False),
    "blocks exchanged": _exchanged,
    "interleaved": lambda t, i, axis, n: f"{subject(t, i)} is interleaved by {n} along {axes_of(t, i, [axis])}",
    "the first dropped": lambda t, i, axis: _end(t, i, axis, which="first", dropped=True),
    "the last dropped": lambda t, i, axis: _end(t, i, axis, which="last", dropped=True),
    "the first kept": lambda t, i, axis: _end(t, i, axis, which="first", dropped=False),
    "the last kept": lambda t, i, axis: _end(t, i, axis, which="last", dropped=False),
    "stride ignored": lambda *_: "the stride is not taken into account",
}
