"""Many cases, one verdict: `check` a candidate against autograd, or assert that it matches."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from random import Random
from typing import Any, Literal

import hypothesis
import torch
from hypothesis import HealthCheck, Phase, Verbosity
from hypothesis.errors import Flaky, NoSuchExample

from torch_ref import reference
from torch_ref.cases import Case, Shapes, draw
from torch_ref.comparison import Candidate, Comparison, compare
from torch_ref.report import Report, Summary

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
    cases: int = 100,
    seed: int = 0,
    dtype: Literal["float64", "float32"] = "float64",
    reduction: Literal["mean", "sum"] = "mean",
    shapes: Shapes = Shapes(),  # noqa: B008  # immutable
    strict: bool = False,
) -> Report:
    """Hold a hand-written `loss_and_grads` against autograd on many cases, and report what was found.

    candidate(inputs, targets, W1, B1, W2, B2) returns (loss, (dL_dW1, dL_dB1, dL_dW2, dL_dB2)): inputs (batch, in),
    targets (batch, out), W1 (hidden, in), B1 (hidden, 1), W2 (out, hidden), B2 (out, 1), each gradient in the shape and
    dtype of its parameter; anything np.asarray takes will do. A parameter of its own named `reduction` is given
    `reduction`, torch's: the loss is the mean over batch × out, or the sum.

    `cases` ordinary cases decide, those with the most telling shapes first; a quarter as many saturated ones are
    reported, and decide too when `strict`. The same seed gives the same cases and the same verdict. A failure is shrunk
    to the smallest case that fails. torch computes on one thread meanwhile.

    Raises TypeError if the candidate is not callable, ValueError for an option outside the above.
    """
    if not callable(candidate):
        raise TypeError(f"candidate: {candidate!r}, expected a function")
    for name, value, choices in (("dtype", dtype, ("float64", "float32")), ("reduction", reduction, ("mean", "sum"))):
        if value not in choices:
            raise ValueError(f"{name}: {value!r}, expected {' or '.join(map(repr, choices))}")
    if cases < 1:
        raise ValueError(f"cases: {cases}, expected 1 or more")

    truth = reference.mlp(reduction)
    judge = partial(compare, _reduced(candidate, reduction), reference=truth)
    with _one_thread():
        ordinary, saturated = (
            _judge_all(judge, count, seed, dtype, shapes, saturated=kind)
            for count, kind in ((cases, False), (max(1, cases // 4), True))
        )
    name = f"{candidate.__module__}:{getattr(candidate, '__qualname__', type(candidate).__qualname__)}"
    return Report(name, str(truth), dtype, ordinary, saturated, strict=strict)


def assert_matches_autograd(candidate: Candidate, **options: Any) -> None:
    """Raise AssertionError, with the report as its message, unless `check(candidate, **options)` passes."""
    __tracebackhide__ = True
    report = check(candidate, **options)
    if not report.passed:
        raise AssertionError(f"not the gradient that autograd computes\n\n{report}")


def _reduced(candidate: Candidate, reduction: str) -> Candidate:
    try:
        takes_reduction = "reduction" in inspect.signature(candidate).parameters
    except ValueError:  # a builtin without a signature
        takes_reduction = False
    return partial(candidate, reduction=reduction) if takes_reduction else candidate


def _judge_all(
    judge: Callable[[Case], Comparison], count: int, seed: int, dtype: str, shapes: Shapes, *, saturated: bool
) -> Summary:
    summary = Summary()
    for sizes in list(shapes.explicit())[:count]:
        summary.add(judge(draw(*sizes, seed=seed, dtype=dtype, saturated=saturated)))
    strategy = shapes.strategy(dtype, saturated=saturated)

    if summary.cases < count:

        @hypothesis.seed(seed)
        @hypothesis.settings(QUIET, max_examples=count - summary.cases, phases=[Phase.generate])
        @hypothesis.given(strategy)
        def judge_drawn(case: Case) -> None:
            summary.add(judge(case))

        judge_drawn()

    if summary.failed:
        with suppress(NoSuchExample, Flaky):  # then the smallest failure so far will have to do
            random = Random(seed)  # noqa: S311  # nothing secret about it
            smallest = hypothesis.find(strategy, lambda case: not judge(case).passed, settings=QUIET, random=random)
            summary.failure = judge(smallest)
    return summary


@contextmanager
def _one_thread() -> Iterator[None]:
    """Two threads only fight over arrays this small. What was set before is restored."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
