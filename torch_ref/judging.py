"""Many cases, one outcome: the explicit ones, those that are drawn, and of those that fail the smallest."""

import timeit
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Any

import hypothesis
import numpy as np
import torch
from hypothesis import HealthCheck, Phase, Verbosity
from hypothesis.errors import Flaky, NoSuchExample
from hypothesis.strategies import SearchStrategy

from torch_ref.candidate.calling import Candidate, difference
from torch_ref.cases.case import Case
from torch_ref.comparison import compare
from torch_ref.diagnosis.diagnosis import explain_failure
from torch_ref.errors import ContractError
from torch_ref.precision import FLOAT64, Precision
from torch_ref.reference.base import BaseReference, Evaluate
from torch_ref.results import Comparison, Outcome, Summary
from torch_ref.rounding import noise

# Whatever profile is loaded, and inside a test that Hypothesis runs too: the same cases for the same seed.
QUIET = hypothesis.settings(
    max_examples=100,
    database=None,
    deadline=None,
    derandomize=False,
    print_blob=False,
    verbosity=Verbosity.quiet,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


@dataclass(frozen=True)
class Settings:
    """How many ordinary cases decide, from which seed, in which precision; whether saturated ones do too; and so on."""

    cases: int = 100
    seed: int = 0
    precision: Precision = FLOAT64
    strict: bool = False
    time: bool = False

    def shown(self, reference: BaseReference) -> dict[str, Any]:
        """What a report says of them, with the reference's own."""
        own = {"cases": self.cases, "seed": self.seed, "dtype": self.precision.name}
        return {**own, **reference.settings, "strict": self.strict}

    def total(self, reference: BaseReference) -> int:
        """The number of cases: of a reference that saturates, a quarter as many saturated ones besides."""
        return self.cases + (self.saturated if reference.cases.saturates else 0)

    @property
    def saturated(self) -> int:
        """The number of saturated cases."""
        return max(1, self.cases // 4)


def judge(
    candidate: Candidate, reference: BaseReference, settings: Settings, outcome: Outcome, on_case: Callable[[int], None]
) -> None:
    """Fill the outcome. on_case is called with the number of cases judged so far. Ctrl-C ends it, `interrupted`.

    Raises UnusableError for a reference that can't serve.
    """
    with _one_thread():
        try:
            reference.demand_usable(settings.precision)
            with reference.lent() as evaluate:
                if _judge_all(candidate, reference, evaluate, settings, outcome, on_case) and outcome.failure:
                    explain_failure(candidate, reference, outcome, outcome.failure)
                sizes = reference.cases.explicit()[0]
                first = reference.cases.draw(*sizes, seed=settings.seed, precision=settings.precision)
                outcome.noise = _noise(evaluate, first)
                outcome.notes = outcome.ordinary.unproved()
                if _prints(candidate, first):
                    outcome.notes.append("prints to standard output; it is left out here")
                if settings.time and not outcome.ordinary.breaches:
                    outcome.seconds = _seconds(candidate, evaluate, first)
        except KeyboardInterrupt:
            outcome.interrupted = True


def _judge_all(
    candidate: Candidate,
    reference: BaseReference,
    evaluate: Evaluate,
    settings: Settings,
    outcome: Outcome,
    on_case: Callable[[int], None],
) -> bool:
    """Judge ordinary cases, then saturated ones. Returns whether the candidate's answers are of any use."""

    def judge_case(case: Case) -> Comparison:
        on_case(outcome.ordinary.cases + outcome.saturated.cases)
        return compare(candidate, case, evaluate)

    kinds = (outcome.ordinary, settings.cases, False), (outcome.saturated, settings.saturated, True)
    for summary, count, saturated in kinds if reference.cases.saturates else kinds[:1]:
        draw = partial(reference.cases.draw, precision=settings.precision, saturated=saturated)
        explicit = [draw(*some, seed=settings.seed) for some in reference.cases.explicit()]
        if not _judge_explicit(judge_case, candidate, explicit[:count], summary):
            return False
        strategy = reference.cases.strategy(settings.precision, saturated=saturated)
        _judge_drawn(judge_case, strategy, count - len(explicit), settings.seed, summary)
        if summary.failed:
            _shrink(judge_case, strategy, settings.seed, summary)
    return True


def _judge_explicit(
    judge_case: Callable[[Case], Comparison], candidate: Candidate, cases: list[Case], summary: Summary
) -> bool:
    """Judge these cases. Returns whether the candidate gives the same answer twice; its answers are no use if not."""
    stable = True
    for case in cases:
        comparison = judge_case(case)
        if comparison.breach is None and (breach := _other_answer(candidate, comparison)):
            comparison, stable = replace(comparison, breach=breach, lines={}), False
        summary.add(comparison)
    return stable


def _other_answer(candidate: Candidate, comparison: Comparison) -> str | None:
    """What is different in a second call, or raises."""
    try:
        return difference(comparison.yours, candidate(comparison.case), comparison.autograd)
    except ContractError as error:
        return str(error)


def _judge_drawn(
    judge_case: Callable[[Case], Comparison], strategy: SearchStrategy[Case], count: int, seed: int, summary: Summary
) -> None:
    """Judge as many cases as `count` says, drawn by Hypothesis: the same ones for the same seed."""
    if count > 0:

        @hypothesis.seed(seed)
        @hypothesis.settings(QUIET, max_examples=count, phases=[Phase.generate])
        @hypothesis.given(strategy)
        def judge_each(case: Case) -> None:
            summary.add(judge_case(case))

        judge_each()


def _shrink(
    judge_case: Callable[[Case], Comparison], strategy: SearchStrategy[Case], seed: int, summary: Summary
) -> None:
    """Make `summary.failure` the smallest case that fails."""
    with suppress(NoSuchExample, Flaky):  # then the smallest failure so far will have to do
        random = Random(seed)  # noqa: S311  # nothing secret about it
        smallest = hypothesis.find(strategy, lambda case: not judge_case(case).passed, settings=QUIET, random=random)
        summary.failure = judge_case(smallest)


def _noise(evaluate: Evaluate, case: Case) -> dict[str, float]:
    """Autograd's own, of each result and gradient, in u max|g|."""
    plain = evaluate(case)
    sizes = noise(partial(evaluate, case), plain)
    units = {name: case.precision.unit_roundoff * np.abs(array).max() for name, array in plain.items()}
    return {name: size / units[name] if units[name] else 0.0 for name, size in sizes.items()}


def _prints(candidate: Candidate, case: Case) -> bool:
    """Whether a call writes to standard output."""
    try:
        return candidate(case).printed
    except ContractError:
        return False


def _seconds(candidate: Candidate, evaluate: Evaluate, case: Case) -> tuple[float, float]:
    """The best of several calls of the candidate, and of autograd, in turn."""
    pairs = [(candidate.time(case, 20), timeit.timeit(partial(evaluate, case), number=20)) for _ in range(20)]
    yours, autograd = (min(times) / 20 for times in zip(*pairs, strict=True))
    return yours, autograd


@contextmanager
def _one_thread() -> Iterator[None]:
    """Two threads only fight over arrays this small. What was set before is restored."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
