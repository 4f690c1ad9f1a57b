"""What is measured besides, where it is asked for: how long calls take, and how near to the truth the answers are."""

import timeit
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import chain

import numpy as np

from torch_ref.candidate.calling import Candidate
from torch_ref.cases.case import Array, Case
from torch_ref.errors import ContractError, EndedError, UnusableError
from torch_ref.outcome import Outcome
from torch_ref.precision import PRECISIONS, Precision
from torch_ref.reference.base import BaseReference, Evaluate
from torch_ref.results import Accuracy, Timing
from torch_ref.settings import Settings

CALLS = 20  # that are timed together, as often: the best of so many
ENOUGH = 0.5  # seconds of them for one size, unless a few take longer
DRAWN = 20  # cases in which the accuracy is measured, besides the explicit ones


def measure(
    candidate: Candidate, reference: BaseReference, evaluate: Evaluate, settings: Settings, outcome: Outcome
) -> None:
    """Add to the outcome what the settings ask for.

    Accuracy is measured in float32, which has a truth, and digits to compare, whatever dtype the check is in. It comes
    last, and a candidate that does not take that dtype, or ends there, has none: it does not count.
    """
    if settings.time:
        outcome.times += _times(candidate, reference, evaluate, settings)
    for precision in (one for one in PRECISIONS.values() if one.truth and not one.coarse and settings.accuracy):
        with suppress(ContractError, EndedError, UnusableError):
            reference.demand_usable(precision)
            outcome.accuracy += _accuracy(candidate, reference, evaluate, settings, precision)


def _times(candidate: Candidate, reference: BaseReference, evaluate: Evaluate, settings: Settings) -> Iterator[Timing]:
    """How long calls take at each size that the reference and the candidate can do."""
    for sizes in reference.cases.timed():
        with suppress(ContractError, UnusableError):
            case = reference.cases.draw(*sizes, seed=settings.seed, precision=settings.precision)
            yield Timing(case.sizes, *_seconds(candidate, evaluate, case))


def _seconds(candidate: Candidate, evaluate: Evaluate, case: Case) -> tuple[float, float]:
    """The best of several calls of the candidate, and of autograd, in turn: fewer where they take long."""

    def pair(number: int) -> tuple[float, float]:
        return candidate.time(case, number), timeit.timeit(partial(evaluate, case), number=number)

    once = sum(pair(1))
    number = max(1, min(CALLS, int(ENOUGH / CALLS / once)))
    pairs = [pair(number) for _ in range(max(3, min(CALLS, int(ENOUGH / number / once))))]
    yours, autograd = (min(times) / number for times in zip(*pairs, strict=True))
    return yours, autograd


def _accuracy(
    candidate: Candidate, reference: BaseReference, evaluate: Evaluate, settings: Settings, precision: Precision
) -> list[Accuracy]:
    """Of each result and gradient that comes as it should in every case; cases in which it is 0 are left out."""
    cases = reference.cases
    explicit = (cases.draw(*of.sizes, seed=settings.seed, precision=precision, kind=of.kind) for of in cases.explicit())
    drawn = cases.drawn(DRAWN, settings.seed, precision)
    found: dict[str, Accuracy] = {}
    missing: set[str] = set()
    for case in (replace(of, asked=settings.only) for of in chain(explicit, drawn)):
        yours, autograd, right = candidate(case).arrays, evaluate(case), evaluate(case.in_truth())
        for name in right:
            mine = yours.get(name, np.empty(0))
            if (mine.shape, mine.dtype) != (right[name].shape, autograd[name].dtype):
                missing.add(name)
            elif unit := precision.unit_roundoff * float(np.abs(right[name]).max(initial=0)):
                of = found.setdefault(name, Accuracy(name, case.label(name), precision.name))
                of.candidate.append(_distance(mine, right[name]) / unit)
                of.autograd.append(_distance(autograd[name], right[name]) / unit)
    return [of for name, of in found.items() if name not in missing]


def _distance(array: Array, right: Array) -> float:
    """The largest |array - right|; infinite where there is a NaN."""
    with np.errstate(invalid="ignore"):
        return float(np.nan_to_num(np.abs(array - right), nan=np.inf, posinf=np.inf).max())
