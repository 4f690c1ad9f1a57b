"""What a diagnosis is made from: the candidate's numbers on cases that tell mistakes apart."""

from dataclasses import dataclass, replace
from functools import partial

from torch_ref.candidate.calling import Candidate
from torch_ref.cases.case import NORMAL, Case
from torch_ref.comparison import compare
from torch_ref.diagnosis.explaining import distance, largest
from torch_ref.errors import ContractError
from torch_ref.reference.base import BaseReference, Evaluate
from torch_ref.results import Comparison

TRIES = 12
APPROXIMATE = 1e-4  # relative: what is nearer than this is no mistake in the chain
ROUGHLY = 1e-6  # relative: further off is wrong, whatever the noise


@dataclass(frozen=True)
class Evidence:
    """A candidate compared with a reference on well-conditioned cases of three sizes, all noise measured."""

    candidate: Candidate
    reference: BaseReference
    comparisons: list[Comparison]

    @property
    def first(self) -> Comparison:
        """The comparison on the smallest case."""
        return self.comparisons[0]

    @property
    def wrong(self) -> list[str]:
        """The names that differ in any case; all must have come."""
        return [name for name in self.first.lines if not all(of.lines[name].passed for of in self.comparisons)]

    def label(self, name: str) -> str:
        """How a result or a gradient is called in print."""
        return self.first.case.label(name)

    def labels(self, names: list[str] | tuple[str, ...]) -> str:
        """How several are."""
        return ", ".join(map(self.label, names))


def gather(candidate: Candidate, reference: BaseReference, failed: Case) -> Evidence:
    """The evidence about a candidate, from cases like the one that failed: as saturated, of its kind of data."""
    comparisons = []
    draw = partial(
        reference.cases.draw,
        precision=failed.precision,
        saturated=failed.saturated,
        kind=failed.kind,
        order=failed.order,
    )
    ranges = reference.cases.ranges.items()
    for i, telling in enumerate(reference.cases.telling()):
        # What failed beyond the ranges is looked at there.
        sizes = [
            failed.sizes[name] + i if failed.sizes[name] > high else size
            for (name, (_, high)), size in zip(ranges, telling, strict=True)
        ]
        # Of other seeds each: a factor that comes from a parameter's value is no constant.
        cases = [
            replace(draw(*sizes, seed=seed), asked=failed.asked, alone=failed.alone)
            for seed in range(TRIES * i, TRIES * (i + 1))
        ]
        if failed.saturated or failed.kind != NORMAL:
            cases = [_first_wrong(candidate, reference, cases)]
        else:
            cases = most_wrong_first(candidate, reference, cases)
        comparisons.append(_well_conditioned(candidate, reference, cases))
    # A loss that comes for some sizes only is no evidence.
    always = set(comparisons[0].lines).intersection(*(of.lines for of in comparisons))
    lines = [{name: line for name, line in of.lines.items() if name in always} for of in comparisons]
    comparisons = [replace(of, lines=some) for of, some in zip(comparisons, lines, strict=True)]
    return Evidence(candidate, reference, comparisons)


def most_wrong_first(candidate: Candidate, reference: BaseReference, cases: list[Case]) -> list[Case]:
    """The cases in which anything is wrong, or else all; those first in which most is.

    Some mistakes show only where a token is repeated, say.
    """
    with reference.lent() as evaluate:
        counts = [_count_wrong(candidate, case, evaluate) for case in cases]
    in_order = sorted(range(len(cases)), key=lambda k: -counts[k])
    return [cases[k] for k in in_order if counts[k] or not any(counts)]


def _count_wrong(candidate: Candidate, case: Case, evaluate: Evaluate) -> int:
    """Roughly: without measuring what rounding does."""
    right = evaluate(case.judged)
    try:
        yours = candidate(case).arrays
    except ContractError:
        return 0
    off = {name: distance(yours.get(name), array) > ROUGHLY * largest(array) for name, array in right.items()}
    return sum(off.values())


def _well_conditioned(candidate: Candidate, reference: BaseReference, cases: list[Case]) -> Comparison:
    """The first in which rounding is small beside every result and gradient: numbers can be recognized.

    What is rounding alone in each of several cases is so by nature, as a bias before a batch norm, and does not count.
    If it is small in none, the first of all, in which most is wrong.
    """
    tried: list[Comparison] = []
    large: list[set[str]] = []  # in which names it is, of each
    for case in cases:
        tried.append(of_case := compare(candidate, case, reference.evaluate, lazy=False))
        small = 1e3 * case.precision.unit_roundoff
        large.append({name for name, of in of_case.lines.items() if not of.noise < small * of.largest})
        alone = [{name for name in large[k] if of.lines[name].vacuous} for k, of in enumerate(tried)]
        by_nature = set.intersection(*alone) if len(tried) > 1 else set()
        for of, names in zip(tried, large, strict=True):
            if of.breach is not None or names <= by_nature:
                return of
    return tried[0]


def _first_wrong(candidate: Candidate, reference: BaseReference, cases: list[Case]) -> Case:
    """The first in which the candidate fails: many saturated or unusual cases show nothing."""
    return next((case for case in cases if not compare(candidate, case, reference.evaluate).passed), cases[0])
