"""Many cases, one verdict: `check` a candidate against autograd, or assert that it matches."""

import inspect
import io
import timeit
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import partial
from typing import Any

import numpy as np
import torch

from torch_ref.candidate import Candidate, prints
from torch_ref.cases import Case
from torch_ref.comparison import Comparison, compare
from torch_ref.diagnosis import diagnose, only_for
from torch_ref.evidence import gather, nearer
from torch_ref.judging import judge_drawn, judge_explicit, shrink
from torch_ref.mlp import mlp
from torch_ref.reference import Reference
from torch_ref.report import Report
from torch_ref.rounding import noise, unit_roundoff


def check(
    candidate: Candidate,
    *,
    reference: Reference | None = None,
    name: str | None = None,
    cases: int = 100,
    seed: int = 0,
    dtype: str = "float64",
    strict: bool = False,
    time: bool = False,
    on_case: Callable[[int], None] = lambda _: None,
    **network: Any,
) -> Report:
    """Hold a hand-written backward pass against autograd on many cases, and report what was found.

    Against a `Reference` of yours, or else the two-layer network: its options activation, loss, reduction and shapes
    are those of `mlp`. candidate(inputs, targets, W1, B1, W2, B2) returns (loss, (dL_dW1, dL_dB1, dL_dW2, dL_dB2)):
    inputs (batch, in), targets (batch, out), W1 (hidden, in), B1 (hidden, 1), W2 (out, hidden), B2 (out, 1), each
    gradient in the shape and dtype of its parameter; anything np.asarray takes will do. If it has parameters of its own
    named activation, loss or reduction, it is given those.

    `cases` ordinary cases decide, those with the most telling shapes first; of the two-layer network a quarter as many
    saturated ones are reported, and decide too when `strict`. The same seed gives the same cases and the same verdict.
    A failure is shrunk to the smallest case that fails, and diagnosed. torch computes on one thread meanwhile.

    name is what the report calls the candidate; time measures a call of it and of autograd; on_case is called with the
    number of cases judged so far. Ctrl-C ends the check and gives the report so far, `interrupted`.

    Raises TypeError if the candidate is not callable or the reference no `Reference`, ValueError for an option outside
    the above, UnusableError (a ValueError) for a reference that can't serve.
    """
    reference = _demand_options(candidate, reference, cases, seed, dtype, network)
    report = Report(
        name or f"{candidate.__module__}:{getattr(candidate, '__qualname__', type(candidate).__qualname__)}",
        reference,
        {"cases": cases, "seed": seed, "dtype": dtype, **reference.settings, "strict": strict},
    )
    called = with_options(candidate, reference)

    def judge(case: Case) -> Comparison:
        on_case(report.ordinary.cases + report.saturated.cases)
        return compare(called, case, reference)

    with _one_thread():
        try:
            reference.demand_usable(dtype)
            draw, sizes = reference.cases.draw, reference.cases.explicit()
            kinds = (report.ordinary, cases), (report.saturated, max(1, cases // 4))
            for summary, count in kinds if reference.cases.saturates else kinds[:1]:
                saturated = summary is report.saturated
                explicit = [draw(*some, seed=seed, dtype=dtype, saturated=saturated) for some in sizes]
                stable = judge_explicit(judge, called, explicit[:count], summary)
                if not stable:
                    break
                strategy = reference.cases.strategy(dtype, saturated=saturated)
                judge_drawn(judge, strategy, count - len(explicit), seed, summary)
                if summary.failed:
                    shrink(judge, strategy, seed, summary)
            if stable and (failure := report.ordinary.failure):
                _diagnose(called, reference, report, failure)
            first = draw(*sizes[0], seed=seed, dtype=dtype)
            report.noise = _noise(reference, first)
            report.notes = report.ordinary.unproved()
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


def _demand_options(
    candidate: Any, reference: Any, cases: Any, seed: Any, dtype: str, network: dict[str, Any]
) -> Reference:
    """The reference that the options ask for; or else TypeError or ValueError."""
    if not callable(candidate):
        raise TypeError(f"candidate: {candidate!r}, expected a function")
    if not isinstance(reference, Reference | None):
        raise TypeError(f"reference: {reference!r}, expected a Reference")
    if dtype not in ("float64", "float32"):
        raise ValueError(f"dtype: {dtype!r}, expected 'float64' or 'float32'")
    for option, value, smallest in ("cases", cases, 1), ("seed", seed, 0):
        if not isinstance(value, int) or value < smallest:
            raise ValueError(f"{option}: {value!r}, expected a whole number of {smallest} or more")
    if reference and network:
        raise ValueError(f"{', '.join(network)}: of the two-layer network, not of another reference; leave it out")
    return reference or mlp(**network)


def with_options(candidate: Candidate, reference: Reference) -> Candidate:
    """The candidate, given the reference's activation, loss and reduction where it has parameters of those names."""
    try:
        own = inspect.signature(candidate).parameters
    except ValueError:  # a builtin without a signature
        return candidate
    options = {name: value for name, value in reference.options.items() if name in own}
    return partial(candidate, **options)


def _diagnose(candidate: Candidate, reference: Reference, report: Report, failure: Comparison) -> None:
    """Explain what differs, from the numbers on a few telling cases, or from the sizes of the cases that fail."""
    evidence = gather(candidate, reference, report.settings["dtype"])
    report.evidence = evidence.comparisons
    tensors = ("loss", *evidence.first.case.parameters)
    conditions = only_for([*report.ordinary.outcomes, (failure.case.sizes, False)], tensors)
    if any(comparison.breach for comparison in report.evidence) or not evidence.wrong:
        report.findings = conditions
    else:
        report.findings = diagnose(evidence)
        if any(finding.kind == "chain" for finding in report.findings):
            report.findings += conditions
    if report.settings["dtype"] == "float32":
        report.nearer = nearer(failure, reference)


def _noise(reference: Reference, case: Case) -> dict[str, float]:
    """Autograd's own, of each tensor, in u max|g|."""
    plain = reference.evaluate(case)
    sizes = noise(partial(reference.evaluate, case), plain)
    units = {name: unit_roundoff(case.dtype) * np.abs(array).max() for name, array in plain.items()}
    return {name: size / units[name] if units[name] else 0.0 for name, size in sizes.items()}


def _seconds(candidate: Candidate, reference: Reference, case: Case) -> tuple[float, float]:
    """The best of several calls of the candidate, and of autograd, in turn."""
    called = partial(candidate, case.inputs, case.targets, *case.parameters.values())
    with redirect_stdout(io.StringIO()), np.errstate(all="ignore"), reference.on(case) as evaluate:
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
