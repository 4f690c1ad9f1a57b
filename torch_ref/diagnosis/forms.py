"""The right numbers in another form: another shape, order or dtype, or another gradient's place."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, combinations, permutations
from typing import TypeAlias

import numpy as np

from torch_ref.cases.case import Array
from torch_ref.diagnosis.evidence import Evidence
from torch_ref.results import Finding

View: TypeAlias = Callable[[Array], Array]


def forms(evidence: Evidence, wrong: list[str]) -> Iterator[Finding]:
    """The right numbers, but in another shape or dtype, or in another order, or those of another parameter."""
    for name in wrong:
        if _all(evidence, name, np.ravel, np.ravel):
            problem = evidence.first.lines[name].problem
            text = f"{evidence.label(name)}: the right numbers, but {problem}."
            yield Finding("form", "another shape or dtype", (name,), text)
        elif order := _order(evidence, name):
            yield Finding("form", order, (name,), f"{evidence.label(name)}: the right numbers, but {order}.")
        elif other := _other(evidence, name):
            found = f"{evidence.label(name)} is {evidence.label(other)}"
            mend = "return the gradients in the order of the parameters" if other in wrong else "compute its own"
            text = f"{found}: {mend}."
            yield Finding("mistake", found, (name,), text)


def _order(evidence: Evidence, name: str) -> str | None:
    """How the elements of the right tensor are arranged in the candidate's, if they are."""
    axes = range(evidence.first.autograd[name].ndim)
    for order in list(permutations(axes))[1:]:
        if _all(evidence, name, partial(np.transpose, axes=order)):
            return f"transposed, its axes in the order {order}"
    for some in chain.from_iterable(combinations(axes, count + 1) for count in axes):
        if _all(evidence, name, partial(np.flip, axis=some)):
            return f"backwards along axis {' and '.join(map(str, some))}"
    return None


def shuffled(evidence: Evidence, wrong: list[str]) -> Iterator[Finding]:
    """The right numbers in an order that no other explanation has."""
    in_order, order = partial(np.sort, axis=None), "its elements are in another order"
    for name in wrong:
        if _all(evidence, name, in_order, in_order):
            yield Finding("form", order, (name,), f"{evidence.label(name)}: the right numbers, but {order}.")


def _other(evidence: Evidence, name: str) -> str | None:
    """The parameter whose gradient stands here."""
    names = evidence.first.case.differentiated
    return next((other for other in names if name in names and _all(evidence, name, right=other)), None)


def _all(evidence: Evidence, name: str, change: View = np.asarray, view: View = np.asarray, right: str = "") -> bool:
    """Whether the candidate's tensor, viewed, is the right one (of that name or another), changed, in every case."""
    return all(
        _same(of.yours.get(name), view, change(of.autograd[right or name]), of.lines[name].allowed)
        for of in evidence.comparisons
    )


def _same(yours: Array | None, view: View, right: Array, bound: float) -> bool:
    if yours is None or yours.dtype.kind not in "fc" or (viewed := view(yours)).shape != right.shape:
        return False
    with np.errstate(invalid="ignore"):
        return bool(np.abs(viewed - right).max() <= bound)


def precision(evidence: Evidence, wrong: list[str]) -> Iterator[Finding]:
    """Float64 tensors whose every element is a float32: something was computed in that."""
    if evidence.first.case.precision.truth:
        return
    arrays = {name: [comparison.yours.get(name) for comparison in evidence.comparisons] for name in wrong}
    single = tuple(name for name, of in arrays.items() if all(map(is_single, of)))
    if single:
        text = f"{evidence.labels(single)}: every element is a float32; something is computed in that."
        yield Finding("precision", "float32", single, text)


def is_single(array: Array | None) -> bool:
    """Whether every element of a float64 array is a float32, and some have more digits than a float16 has.

    Whole and half numbers, such as a gradient's that lacks its upstream factor, are float32 by nature.
    """
    if array is None or array.dtype != np.float64 or not np.isfinite(array).all():
        return False
    with np.errstate(over="ignore"):
        digits = np.frexp(array)[0] * 2**11  # of a float16
        return not np.array_equal(digits, digits.round()) and np.array_equal(array, array.astype(np.float32))
