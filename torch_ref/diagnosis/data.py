"""Data that is not used as it should be: samples dropped from the batch, an argument ignored."""

from collections.abc import Iterator
from contextlib import suppress

import numpy as np

from torch_ref.cases.case import Case, Numbers
from torch_ref.diagnosis.evidence import Evidence
from torch_ref.diagnosis.explaining import distance, matched
from torch_ref.errors import ContractError, UnusableError
from torch_ref.results import Comparison, Finding

OTHERS = range(100, 109)  # seeds of other data
KEPT = {
    "the first sample of the batch is dropped": slice(1, None),
    "the last sample of the batch is dropped": slice(-1),
    "only the last sample of the batch counts": slice(-1, None),
}


def dropped(evidence: Evidence, wrong: list[str]) -> Iterator[Finding]:
    """Gradients, or the results, of fewer samples than the batch has; divided by either number of samples."""
    if not all(_is_batched(of.case) for of in evidence.comparisons):
        return
    for name, kept in KEPT.items():
        for of_all in (True, False):

            def make(case: Case, kept: slice = kept, of_all: bool = of_all) -> Numbers:  # noqa: FBT001  # a default
                made = evidence.reference.evaluate(case.with_arguments(**_kept(case, kept)))
                batch = case.sizes["batch"]
                share = len(range(batch)[kept]) / batch if of_all and not case.upstream else 1.0
                return {name: array * array.dtype.type(share) for name, array in made.items()}

            found: set[str] = set()
            with suppress(UnusableError):  # batch norm has no gradient for a batch of one
                found = matched(evidence.comparisons, make, set(wrong))
            if found:
                names = tuple(name for name in wrong if name in found)
                yield Finding("mistake", name, names, f"{evidence.labels(names)}: {name}; sum over all.")
                return


def _kept(case: Case, kept: slice) -> Numbers:
    """The data of these samples; or, of an operator, the upstream gradient of these and zero for the others."""
    if not case.upstream:
        return {name: case.arguments[name][kept].copy() for name in case.given}
    arrays = {name: np.zeros_like(case.arguments[name]) for name in case.upstream}
    for name, array in arrays.items():
        array[kept] = case.arguments[name][kept]
    return arrays


def _is_batched(case: Case) -> bool:
    """Whether all the data, or every upstream gradient, has the batch first."""
    batch, data = case.sizes.get("batch"), case.upstream or case.given
    return bool(data) and all(case.arguments[name].shape[:1] == (batch,) for name in data)


def ignored(evidence: Evidence, wrong: list[str]) -> Iterator[Finding]:
    """An argument that every wrong gradient should depend on, and none does: other data is used in its place.

    If only some do not, their formula has no such term, as with ∂L/∂G2 = -t; that is no sign of other data. Nor are
    zeros.
    """
    for argument in evidence.first.case.given:
        if wrong and all(_is_ignored(evidence, of, i, argument, wrong) for i, of in enumerate(evidence.comparisons)):
            why = f"not multiplied by {argument}." if argument in evidence.first.case.upstream else "is it used at all?"
            text = f"{evidence.labels(wrong)}: the same whatever {argument} is; {why}"
            yield Finding("mistake", f"{argument} is ignored", tuple(wrong), text)
            return


def _is_ignored(evidence: Evidence, comparison: Comparison, position: int, argument: str, wrong: list[str]) -> bool:
    """Whether, with another value of the argument, autograd's numbers change and the candidate's do not."""
    case, yours, right = comparison.case, comparison.yours, comparison.autograd
    if any(comparison.lines[name].problem or not yours[name].any() for name in wrong):
        return False
    for seed in OTHERS[position::3]:
        other = evidence.reference.cases.draw(*case.sizes.values(), seed=seed, precision=case.precision)
        if other.arguments[argument].shape != case.arguments[argument].shape:
            return False
        changed = case.with_arguments(**{argument: other.arguments[argument]})
        expected = evidence.reference.evaluate(changed)
        if any(distance(right[name], expected[name]) <= comparison.lines[name].allowed for name in wrong):
            return False
        try:
            answer = evidence.candidate(changed)
        except ContractError:
            return False
        if any(not np.array_equal(answer.arrays.get(name, np.nan), yours[name]) for name in wrong):
            return False
    return True
