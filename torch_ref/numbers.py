"""What explains a mismatch in any network, from its numbers alone: a form, a place, a precision, samples, arguments."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import chain, combinations, permutations
from typing import TypeAlias

import numpy as np

from torch_ref.candidate import ContractError, UnusableError, as_array, call
from torch_ref.cases import Array, Case, Tensors, label
from torch_ref.evidence import Evidence
from torch_ref.explanation import Finding, matched

View: TypeAlias = Callable[[Array], Array]

OTHERS = range(100, 108)  # seeds of other data
KEPT = {
    "the first sample of the batch is dropped": slice(1, None),
    "the last sample of the batch is dropped": slice(-1),
    "only the last sample of the batch counts": slice(-1, None),
}


def forms(evidence: Evidence, wrong: list[str]) -> Iterator[Finding]:
    """The right numbers, but in another shape or dtype, or in another order, or those of another parameter."""
    for name in wrong:
        if _all(evidence, name, np.ravel, np.ravel):
            problem = evidence.first.tensors[name].problem
            text = f"{label(name)}: the right numbers, but {problem}."
            yield Finding("form", "another shape or dtype", (name,), text)
        elif order := _order(evidence, name):
            yield Finding("form", order, (name,), f"{label(name)}: the right numbers, but {order}.")
        elif other := _other(evidence, name):
            text = f"{label(name)} is {label(other)}: return the gradients in the order of the parameters."
            yield Finding("mistake", f"{label(name)} is {label(other)}", (name,), text)


def _order(evidence: Evidence, name: str) -> str | None:
    """How the elements of the right tensor are arranged in the candidate's, if they are."""
    axes = range(evidence.first.autograd[name].ndim)
    for order in list(permutations(axes))[1:]:
        if _all(evidence, name, partial(np.transpose, axes=order)):
            return f"transposed, its axes in the order {order}"
    for some in chain.from_iterable(combinations(axes, count + 1) for count in axes):
        if _all(evidence, name, partial(np.flip, axis=some)):
            return f"backwards along axis {' and '.join(map(str, some))}"
    in_order = partial(np.sort, axis=None)
    return "its elements are in another order" if _all(evidence, name, in_order, in_order) else None


def _other(evidence: Evidence, name: str) -> str | None:
    """The parameter whose gradient stands here."""
    names = evidence.first.case.parameters
    return next((other for other in names if name in names and _all(evidence, name, right=other)), None)


def _all(evidence: Evidence, name: str, change: View = np.asarray, view: View = np.asarray, right: str = "") -> bool:
    """Whether the candidate's tensor, viewed, is the right one (of that name or another), changed, in every case."""
    return all(
        _same(of.yours.get(name), view, change(of.autograd[right or name]), of.tensors[name].allowed)
        for of in evidence.comparisons
    )


def _same(yours: Array | None, view: View, right: Array, bound: float) -> bool:
    if yours is None or yours.dtype.kind not in "fc" or (viewed := view(yours)).shape != right.shape:
        return False
    with np.errstate(invalid="ignore"):
        return bool(np.abs(viewed - right).max() <= bound)


def precision(evidence: Evidence, wrong: list[str]) -> Iterator[Finding]:
    """Float64 tensors whose every element is a float32: something was computed in that."""
    if evidence.first.case.dtype != np.float64:
        return
    arrays = {name: [comparison.yours.get(name) for comparison in evidence.comparisons] for name in wrong}
    single = tuple(name for name, of in arrays.items() if all(map(_is_single, of)))
    if single:
        text = f"{', '.join(map(label, single))}: every element is a float32; something is computed in that."
        yield Finding("precision", "float32", single, text)


def _is_single(array: Array | None) -> bool:
    if array is None or array.dtype != np.float64 or not np.isfinite(array).all():
        return False
    with np.errstate(over="ignore"):
        return bool(array.any()) and np.array_equal(array, array.astype(np.float32))


def dropped(evidence: Evidence, wrong: list[str]) -> Iterator[Finding]:
    """Gradients, or the loss, of fewer samples than the batch has; divided by either number of samples."""
    if any(
        len(array) != of.case.sizes["batch"]
        for of in evidence.comparisons
        for array in (of.case.inputs, of.case.targets)
    ):
        return
    for name, kept in KEPT.items():
        for of_all in (True, False):

            def make(case: Case, kept: slice = kept, of_all: bool = of_all) -> Tensors:  # noqa: FBT001  # a default
                some = replace(case, inputs=case.inputs[kept].copy(), targets=case.targets[kept].copy())
                share = len(some.inputs) / len(case.inputs) if of_all else 1.0
                made = evidence.reference.evaluate(some)
                return {name: array * array.dtype.type(share) for name, array in made.items()}

            found: set[str] = set()
            with suppress(UnusableError):  # batch norm has no gradient for a batch of one
                found = matched(evidence.comparisons, make, set(wrong))
            if found:
                tensors = tuple(tensor for tensor in wrong if tensor in found)
                yield Finding("mistake", name, tensors, f"{', '.join(map(label, tensors))}: {name}; sum over all.")
                return


def ignored(evidence: Evidence, wrong: list[str]) -> Iterator[Finding]:
    """An argument that no wrong tensor depends on: data of the module is used in its place.

    If only some do not, their formula has no such term, as with ∂L/∂G2 = -t; that is no sign of other data.
    """
    first = evidence.first
    sizes, dtype = first.case.sizes.values(), str(first.case.dtype)
    others = [evidence.reference.cases.draw(*sizes, seed=seed, dtype=dtype) for seed in OTHERS]
    for argument in ("inputs", "targets"):
        same = [name for name in wrong if first.tensors[name].problem is None]
        for other in others:
            case = replace(first.case, **{argument: getattr(other, argument)})
            with suppress(ContractError, TypeError, ValueError):
                answer = call(evidence.candidate, case)
                arrays = {name: as_array(answer[name], case.dtype) for name in same}
                same = [name for name, array in arrays.items() if np.array_equal(array, first.yours[name])]
        if same and same == wrong:
            text = f"{', '.join(map(label, same))}: the same whatever {argument} is; computed from something else, "
            yield Finding("mistake", f"{argument} is ignored", tuple(same), f"{text}data of the module perhaps.")
            return
