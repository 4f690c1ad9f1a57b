"""Cases judged one after another: those that come first, those that Hypothesis draws, and smaller ones that fail."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from random import Random

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity
from hypothesis.errors import Flaky, NoSuchExample
from hypothesis.strategies import SearchStrategy

from torch_ref.candidate import Candidate, ContractError, demand_the_same
from torch_ref.cases import Case
from torch_ref.comparison import Comparison
from torch_ref.report import Summary

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


def judge_explicit(
    judge: Callable[[Case], Comparison], candidate: Candidate, cases: list[Case], summary: Summary
) -> bool:
    """Judge these cases. Returns whether the candidate gives the same answer twice; its answers are no use if not."""
    stable = True
    for case in cases:
        comparison = judge(case)
        if comparison.breach is None:
            try:
                demand_the_same(candidate, case, comparison.yours, comparison.autograd)
            except ContractError as error:
                comparison, stable = replace(comparison, breach=str(error), tensors={}), False
        summary.add(comparison)
    return stable


def judge_drawn(
    judge: Callable[[Case], Comparison], strategy: SearchStrategy[Case], count: int, seed: int, summary: Summary
) -> None:
    """Judge as many cases as `count` says, drawn by Hypothesis: the same ones for the same seed."""
    if count > 0:

        @hypothesis.seed(seed)
        @hypothesis.settings(QUIET, max_examples=count, phases=[Phase.generate])
        @hypothesis.given(strategy)
        def judge_each(case: Case) -> None:
            summary.add(judge(case))

        judge_each()


def shrink(judge: Callable[[Case], Comparison], strategy: SearchStrategy[Case], seed: int, summary: Summary) -> None:
    """Make `summary.failure` the smallest case that fails."""
    with suppress(NoSuchExample, Flaky):  # then the smallest failure so far will have to do
        random = Random(seed)  # noqa: S311  # nothing secret about it
        smallest = hypothesis.find(strategy, lambda case: not judge(case).passed, settings=QUIET, random=random)
        summary.failure = judge(smallest)
