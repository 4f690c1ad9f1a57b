"""Many cases, one verdict: `check` a backward pass against autograd, or assert that it matches."""

from collections.abc import Callable
from dataclasses import fields
from inspect import isfunction
from typing import Any

from torch_ref.candidate.calling import InProcess
from torch_ref.candidate.kinds import form_of_operators, meant, pair_of
from torch_ref.judging import judge
from torch_ref.precision import PRECISIONS
from torch_ref.reference.base import BaseReference
from torch_ref.reference.operator import Operator
from torch_ref.report import Report
from torch_ref.settings import Settings
from torch_ref.two_layers.layouts import fitted
from torch_ref.two_layers.options import Activation, Loss, Reduction, Shapes
from torch_ref.two_layers.reference import TwoLayers


def _ignore(_: int) -> None: ...


def _name_of(candidate: Any) -> str:
    """Its module and name, as the command line would have it."""
    first, *rest = candidate if isinstance(candidate, tuple) else (candidate,)
    names = [getattr(code, "__qualname__", type(code).__qualname__) for code in (first, *rest)]
    return f"{first.__module__}:{','.join(names)}"


def check(
    candidate: Callable[..., Any] | tuple[Callable[..., Any], Callable[..., Any]],
    *,
    reference: BaseReference | None = None,
    name: str | None = None,
    cases: int = 100,
    seed: int = 0,
    dtype: str = "float64",
    strict: bool = False,
    time: bool = False,
    on_case: Callable[[int], None] = _ignore,
    activation: Activation = "sigmoid",
    loss: Loss = "bce",
    reduction: Reduction = "mean",
    shapes: Shapes = Shapes(),  # noqa: B008  # immutable
    layout: str | None = None,
    step: bool = False,
    only: tuple[str, ...] = (),
) -> Report:
    """Check a hand-written backward pass against autograd on many cases, and report what was found.

    candidate(inputs, targets, W1, B1, W2, B2) returns (loss, (dL_dW1, dL_dB1, dL_dW2, dL_dB2)): inputs (batch, in),
    targets (batch, out), W1 (hidden, in), B1 (hidden, 1), W2 (out, hidden), B2 (out, 1), each gradient in the shape and
    dtype of its parameter; anything np.asarray takes will do. Against a `Reference` it is called as that says.

    reference: a `Reference` of yours; None for the two-layer network.
    name: what the report calls the candidate; None for its module and name.
    cases: how many ordinary cases decide, those with the most telling shapes first; of the two-layer network a quarter
        as many saturated ones are reported too.
    seed: the same seed gives the same cases and the same verdict.
    dtype: "float64", "float32", "bfloat16" or "float16". In the last two, code in torch is given tensors, and other
        code float16 arrays, or float32 arrays of numbers that bfloat16 has.
    strict: whether saturated cases decide too.
    time: whether to measure a call of the candidate and of autograd.
    on_case: called with the number of cases judged so far.
    activation: of the two-layer network's hidden layer, "sigmoid", "tanh" or "relu".
    loss: of the two-layer network, "bce", "mse" or "half-mse".
    reduction: of that loss over batch × out, "mean" or "sum".
    shapes: of the two-layer network, the batches and widths to draw.
    layout: of the two-layer network, the shapes in which the candidate takes inputs, W1 and B1, as in
        "(in, batch) (in, hidden) (1, hidden)"; None to find the one that fits.
    step: of the two-layer network, whether the candidate is a training step, candidate(inputs, targets, W1, B1, W2, B2,
        learning_rate), that returns the new parameters or changes them in place. Not with strict.
    only: the names that are judged, as ("W1", "B2"); the candidate may leave the others out. None of them for all.

    A candidate with parameters called activation, loss or reduction is given those. A failure is shrunk to the smallest
    case that fails, and diagnosed. torch computes on one thread meanwhile. Ctrl-C ends the check and gives the report
    so far, `interrupted`.

    Raises TypeError if the candidate is not callable or the reference no `Reference`, ValueError for an option outside
    the above, UnusableError (a ValueError) for a reference that can't serve.
    """
    own = TwoLayers(activation, loss, reduction, shapes, layout=layout, step=step)
    candidate = meant(candidate)
    _demand_candidate(candidate, reference)
    if reference:
        defaults = {field.name: field.default for field in fields(TwoLayers)}
        if given := [option for option, default in defaults.items() if getattr(own, option) != default]:
            raise ValueError(f"{', '.join(given)}: of the two-layer network, not of another reference; leave it out")
    _demand_options(cases, seed, dtype, only)
    against = reference or own
    called = InProcess(candidate, against.results, against.options)
    settings = Settings(cases, seed, PRECISIONS[dtype], strict, time, tuple(only))
    interrupted = False
    if isinstance(against, TwoLayers):
        against.demand_cases(settings.precision, strict=strict)
        try:
            against = fitted(called, against, settings.only, settings.precision)
        except KeyboardInterrupt:
            interrupted = True
    report = Report(name or _name_of(candidate), against.description, settings.shown(against), interrupted=interrupted)
    if not interrupted:
        judge(called, against, settings, report, on_case)
    return report


def _demand_candidate(candidate: Any, reference: Any) -> None:
    pair = pair_of(candidate)
    if not (callable(candidate) or (len(pair) == 2 and all(map(callable, pair)))):
        raise TypeError(f"candidate: {candidate!r}, expected a function, or a pair of them: (forward, backward)")
    if not isinstance(reference, BaseReference | None):
        makes = isfunction(reference) or isinstance(reference, type)
        hint = f"; call it: reference={reference.__name__}()" if makes else ""
        raise TypeError(f"reference: {reference!r}, expected a Reference{hint}")
    if (form := form_of_operators(candidate)) and not isinstance(reference, Operator):
        raise TypeError(f"candidate: {form} is checked against an Operator; say reference=Operator(function, draw)")


def _demand_options(cases: Any, seed: Any, dtype: str, only: Any) -> None:
    if isinstance(only, str):
        raise TypeError(f"only: {only!r}, expected a tuple of names, as in ({only!r},)")
    if not isinstance(dtype, str) or dtype not in PRECISIONS:
        raise ValueError(f"dtype: {dtype!r}, expected {' or '.join(map(repr, PRECISIONS))}")
    for option, value, smallest in ("cases", cases, 1), ("seed", seed, 0):
        if not isinstance(value, int) or value < smallest:
            raise ValueError(f"{option}: {value!r}, expected a whole number of {smallest} or more")


def assert_matches_autograd(
    candidate: Callable[..., Any] | tuple[Callable[..., Any], Callable[..., Any]],
    *,
    reference: BaseReference | None = None,
    name: str | None = None,
    cases: int = 100,
    seed: int = 0,
    dtype: str = "float64",
    strict: bool = False,
    time: bool = False,
    on_case: Callable[[int], None] = _ignore,
    activation: Activation = "sigmoid",
    loss: Loss = "bce",
    reduction: Reduction = "mean",
    shapes: Shapes = Shapes(),  # noqa: B008  # immutable
    layout: str | None = None,
    step: bool = False,
    only: tuple[str, ...] = (),
) -> None:
    """Raise AssertionError, with the report as its message, unless `check` of the same options passes.

    reference: a `Reference` of yours; None for the two-layer network.
    name: what the report calls the candidate; None for its module and name.
    cases: how many ordinary cases decide (100).
    seed: the same seed gives the same cases and the same verdict (0).
    dtype: "float64", "float32", "bfloat16" or "float16".
    strict: whether saturated cases decide too.
    time: whether to measure a call of the candidate and of autograd.
    on_case: called with the number of cases judged so far.
    only: the names that are judged; none for all.
    activation, loss, reduction, shapes, layout, step: of the two-layer network, as in `check`.

    Also raises what `check` raises, and KeyboardInterrupt on Ctrl-C.
    """
    __tracebackhide__ = True
    report = check(
        candidate,
        reference=reference,
        name=name,
        cases=cases,
        seed=seed,
        dtype=dtype,
        strict=strict,
        time=time,
        on_case=on_case,
        activation=activation,
        loss=loss,
        reduction=reduction,
        shapes=shapes,
        layout=layout,
        step=step,
        only=only,
    )
    if report.interrupted:
        raise KeyboardInterrupt
    if not report.passed:
        what = "not the gradient that autograd computes" if report.failure else "a gradient that no case tests"
        raise AssertionError(f"{what}\n\n{report}")
