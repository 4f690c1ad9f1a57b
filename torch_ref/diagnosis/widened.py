"""The evidence about a candidate that fails in a coarse format, where a mistake and rounding look alike."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from torch_ref.candidate.calling import Candidate
from torch_ref.comparison import compare
from torch_ref.diagnosis.evidence import APPROXIMATE, Evidence, gather
from torch_ref.diagnosis.forms import is_single
from torch_ref.precision import FLOAT32, FLOAT64
from torch_ref.reference.base import BaseReference
from torch_ref.results import Comparison, Finding


def widest(candidate: Candidate, reference: BaseReference, failure: Comparison, wrong: set[str]) -> Evidence:
    """The evidence in float64, if the candidate takes it and does not compute in float32 inside; or in float32.

    There it must be wrong in no more than it was. If neither will do, the evidence is in the format itself, as it is
    where that is not coarse. wrong are the names of all that is wrong.
    """
    for precision in (FLOAT64, FLOAT32) if failure.case.precision.coarse else ():
        case = replace(failure.case, precision=precision, own_format=False)
        evidence = gather(candidate, reference, case)
        if _is_taken(evidence) and evidence.wrong and set(evidence.wrong) <= wrong:
            return evidence
    return gather(candidate, reference, failure.case)


def _is_taken(evidence: Evidence) -> bool:
    """Whether the candidate keeps the contract in its dtype, and computes in it."""
    lines = [line for comparison in evidence.comparisons for line in comparison.lines.values()]
    arrays = [array for comparison in evidence.comparisons for array in comparison.yours.values()]
    if any(of.breach for of in evidence.comparisons) or any("dtype" in (line.problem or "") for line in lines):
        return False
    return not all(map(is_single, arrays))


def right_when_wider(evidence: Evidence, failure: Comparison) -> Iterator[Finding]:
    """A candidate that is all but right on the same numbers in float64, or float32: what is wrong is what it rounds."""
    case = failure.case
    for precision in (FLOAT64, FLOAT32) if case.precision.coarse and failure.breach is None else ():
        wider = compare(evidence.candidate, case.widened(precision), evidence.reference.evaluate)
        off = max((line.relative for line in wider.lines.values()), default=np.inf)
        if wider.breach is None and off <= APPROXIMATE:
            names = tuple(name for name, line in failure.lines.items() if not line.passed)
            why = f"the formula is right, and loses its digits to {case.precision}; compute in float32 inside"
            if case.own_format:
                why = f"where the model computes something else than in {case.precision}: it depends on its dtype"
            text = f"{evidence.labels(names)}: off by {off:.0e} of its size in {precision} on the same numbers, {why}."
            yield Finding("precision", f"right in {precision}", names, text)
            return
