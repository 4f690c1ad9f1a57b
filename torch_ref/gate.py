"""Many cases, one verdict: `check` a candidate against autograd, or assert that it matches."""

import inspect
import io
import timeit
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any

import hypothesis
import numpy as np
import torch
from hypothesis import HealthCheck, Phase, Verbosity
from hypothesis.errors import Flaky, NoSuchExample
from hypothesis.strategies import SearchStrategy

from torch_ref.candidate import Candidate, ContractError, demand_the_same, prints
from torch_ref.cases import Case, Shapes, draw
from torch_ref.comparison import Comparison, compare
from torch_ref.diagnosis import diagnose, only_for
from torch_ref.evidence import gather, nearer
from torch_ref.reference import Reference, mlp
from torch_ref.report import Report, Summary
from torch_ref.rounding import noise, unit_roundoff

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


def check(
    candidate: Candidate,
    *,
    name: str | None = None,
    cases: int = 100,
    seed: int = 0,
    dtype: str = "float64",
    reduction: str = "mean",
    shapes: Shapes = Shapes(),  # noqa: B008  # immutable
    strict: bool = False,
    time: bool = False,
    on_case: Callable[[int], None] = lambda _: None,
) -> Report:
    """Hold a hand-written `loss_and_grads` against autograd on many cases, and report what was found.

    candidate(inputs, targets, W1, B1, W2, B2) returns (loss, (dL_dW1, dL_dB1, dL_dW2, dL_dB2)): inputs (batch, in),
    targets (batch, out), W1 (hidden, in), B1 (hidden, 1), W2 (out, hidden), B2 (out, 1), each gradient in the shape and
    dtype of its parameter; anything np.asarray takes will do. A parameter of its own named `reduction` is given
    `reduction`, torch's: the loss is the mean over batch × out, or the sum.

    `cases` ordinary cases decide, those with the most telling shapes first; a quarter as many saturated ones are
    reported, and decide too when `strict`. The same seed gives the same cases and the same verdict. A failure is shrunk
    to the smallest case that fails, and diagnosed. torch computes on one thread meanwhile.

    name is what the report calls the candidate; time measures a call of it and of autograd; on_case is called with the
    number of cases judged so far. Ctrl-C ends the check and gives the report so far, `interrupted`.

    Raises TypeError if the candidate is not callable, ValueError for an option outside the above.
    """
    _demand_options(candidate, cases, seed, dtype, reduction)
    reference = mlp(reduction)
    report = Report(
        name or f"{candidate.__module__}:{getattr(candidate, '__qualname__', type(candidate).__qualname__)}",
        str(reference),
        {"cases": cases, "seed": seed, "dtype": dtype, "reduction": reduction, **vars(shapes), "strict": strict},
    )
    called = with_reduction(candidate, reduction)

    def judge(case: Case) -> Comparison:
        on_case(report.ordinary.cases + report.saturated.cases)
        return compare(called, case, reference)

    with _one_thread():
        try:
            for summary, count in (report.ordinary, cases), (report.saturated, max(1, cases // 4)):
                saturated = summary is report.saturated
                explicit = [draw(*sizes, seed=seed, dtype=dtype, saturated=saturated) for sizes in shapes.explicit()]
                stable = _judge_explicit(judge, called, explicit[:count], summary)
                if not stable:
                    break
                strategy = shapes.strategy(dtype, saturated=saturated)
                _judge_drawn(judge, strategy, count - len(explicit), seed, summary)
                if summary.failed:
                    _shrink(judge, strategy, seed, summary)
            if report.ordinary.failed and stable:
                _diagnose(called, reference, shapes, report)
            first = draw(*shapes.explicit()[0], seed=seed, dtype=dtype)
            report.noise = _noise(reference, first)
            if prints(called, first):
                report.notes.append("prints to standard output; it is left out here")
            if time and not report.ordinary.breaches:
                report.seconds = _seconds(called, reference, first)
        except KeyboardInterrupt:
            report.interrupted = True
    return report


def assert_matches_autograd(candidate: Candidate, **options: Any) -> None:
    """Raise AssertionError, with the report as its message, unless `check(candidate, **options)` passes."""
    __tracebackhide__ = True
    report = check(candidate, **options)
    if report.interrupted:
        raise KeyboardInterrupt
    if not report.passed:
        raise AssertionError(f"not the gradient that autograd computes\n\n{report}")


def _demand_options(candidate: Any, cases: int, seed: int, dtype: str, reduction: str) -> None:
    if not callable(candidate):
        raise TypeError(f"candidate: {candidate!r}, expected a function")
    for option, value, choices in (("dtype", dtype, ("float64", "float32")), ("reduction", reduction, ("mean", "sum"))):
        if value not in choices:
            raise ValueError(f"{option}: {value!r}, expected {' or '.join(map(repr, choices))}")
    if cases < 1:
        raise ValueError(f"cases: {cases}, expected 1 or more")
    if seed < 0:
        raise ValueError(f"seed: {seed}, expected 0 or more")


def with_reduction(candidate: Candidate, reduction: str) -> Candidate:
    """The candidate with its `reduction` parameter bound, if it has one."""
    try:
        takes_reduction = "reduction" in inspect.signature(candidate).parameters
    except ValueError:  # a builtin without a signature
        takes_reduction = False
    return partial(candidate, reduction=reduction) if takes_reduction else candidate


def _judge_explicit(
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


def _judge_drawn(
    judge: Callable[[Case], Comparison], strategy: SearchStrategy[Case], count: int, seed: int, summary: Summary
) -> None:
    if count > 0:

        @hypothesis.seed(seed)
        @hypothesis.settings(QUIET, max_examples=count, phases=[Phase.generate])
        @hypothesis.given(strategy)
        def judge_drawn(case: Case) -> None:
            summary.add(judge(case))

        judge_drawn()


def _shrink(judge: Callable[[Case], Comparison], strategy: SearchStrategy[Case], seed: int, summary: Summary) -> None:
    with suppress(NoSuchExample, Flaky):  # then the smallest failure so far will have to do
        random = Random(seed)  # noqa: S311  # nothing secret about it
        smallest = hypothesis.find(strategy, lambda case: not judge(case).passed, settings=QUIET, random=random)
        summary.failure = judge(smallest)


def _diagnose(candidate: Candidate, reference: Reference, shapes: Shapes, report: Report) -> None:
    """Explain what differs, from the numbers on a few telling cases, or from the sizes of the cases that fail."""
    report.evidence = gather(candidate, reference, shapes, report.settings["dtype"])
    smallest = [(report.ordinary.failure.case.sizes, False)] if report.ordinary.failure else []
    conditions = only_for(report.ordinary.outcomes + smallest)
    if any(comparison.breach for comparison in report.evidence) or all(c.passed for c in report.evidence):
        report.findings = conditions
    else:
        report.findings = diagnose(candidate, report.evidence, report.settings["reduction"])
        if any(finding.kind == "chain" for finding in report.findings):
            report.findings += conditions
    if report.ordinary.failure and report.settings["dtype"] == "float32":
        report.nearer = nearer(report.ordinary.failure, reference)


def _noise(reference: Reference, case: Case) -> dict[str, float]:
    """Autograd's own, of each tensor, in u max|g|."""
    evaluate = reference.on(case)
    plain = evaluate()
    unit = unit_roundoff(case.dtype)
    return {name: size / (unit * np.abs(plain[name]).max()) for name, size in noise(evaluate, plain).items()}


def _seconds(candidate: Candidate, reference: Reference, case: Case) -> tuple[float, float]:
    """The best of several calls of the candidate, and of autograd, in turn."""
    evaluate = reference.on(case)
    called = partial(candidate, case.inputs, case.targets, *case.parameters.values())
    with redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
        pairs = [(timeit.timeit(called, number=20), timeit.timeit(evaluate, number=20)) for _ in range(20)]
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
