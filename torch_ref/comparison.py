"""One candidate on one case: its results and each gradient against the reference. Measured first, judged second."""

from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from math import isfinite

import numpy as np

from torch_ref.candidate.calling import Candidate
from torch_ref.cases.case import Array, Case, Numbers
from torch_ref.errors import ContractError, UnusableError
from torch_ref.results import Comparison, Line
from torch_ref.rounding import FINER, allowed, bound, from_arguments, replay

HOPELESS = 10_000  # times what is allowed before any replay: more than a sum of 10⁹ terms rounds; `bound` has the rest


def compare(
    candidate: Candidate,
    case: Case,
    evaluate: Callable[[Case], Numbers],
    *,
    lazy: bool = True,
    wrong: Collection[str] = (),
) -> Comparison:
    """Run the candidate on a copy of the case and compare what it returns with what `evaluate` gives.

    Of each line in turn: present, shape, dtype, finite, value. When lazy, noise is measured only where a difference
    is over 8 u max|g|, which is allowed whatever the noise, and only until the noise explains it. wrong are names that
    differ in another case, and so have failed: where they are far off here too, nobody asks whether any replay could
    explain it. A breach of the contract ends the comparison, not the program. Raises UnusableError when the reference
    itself is not finite.
    """
    plain = evaluate(case)
    largest = {name: _largest(array) for name, array in plain.items()}
    for name, size in largest.items():
        if not isfinite(size):
            raise UnusableError(f"reference: {case.label(name)} is not finite, expected finite numbers  {case}")
    try:
        answer = candidate(case)
    except ContractError as error:
        return Comparison(case, plain, breach=str(error))
    lines = {
        name: _line(case, name, largest[name], plain[name], answer.arrays.get(name, answer.problems.get(name)))
        for name in plain
        if case.asks(name) and (name in answer.arrays or name in answer.problems)
    }
    doubtful = {name: line for name, line in lines.items() if not (lazy and (line.passed or line.problem))}
    if doubtful:
        lines |= _explained(doubtful, answer.arrays, case, evaluate, plain, lazy=lazy, wrong=wrong)
    return Comparison(case, plain, answer.arrays, lines)


def _explained(
    doubtful: dict[str, Line],
    yours: Numbers,
    case: Case,
    evaluate: Callable[[Case], Numbers],
    plain: Numbers,
    *,
    lazy: bool,
    wrong: Collection[str],
) -> dict[str, Line]:
    """With what rounding explains allowed. When lazy, until all is explained but for what no replay can explain."""
    # A saturated case asks for torch's own formula: what others make of it is reported, not expected to match.
    again, any_formula = partial(evaluate, case), not case.saturated
    least = from_arguments(evaluate, case, plain)
    lines = {name: _with(line, least[name], None) for name, line in doubtful.items()}
    hopeless = {name for name, line in lines.items() if lazy and name in wrong and line.severity > HOPELESS}
    truth: dict[str, tuple[float, float]] = {}

    def left() -> list[str]:
        return [name for name, line in lines.items() if not (name in hopeless or line.passed or line.problem)]

    if case.precision.truth and not case.saturated and left():
        truth = _from_the_truth({name: yours[name] for name in left()}, case, evaluate, plain)
        lines |= {name: _with(lines[name], least[name], truth[name]) for name in truth}
    if lazy and any(lines[name].severity > HOPELESS for name in left()):
        most = bound(again, plain, any_formula=any_formula)
        beyond = {name: _with(lines[name], most[name], truth.get(name)) for name in left()}
        hopeless |= {name for name, line in beyond.items() if not line.passed}
        lines |= {name: _with(lines[name], FINER * most[name], truth.get(name)) for name in beyond if name in hopeless}
    for noise in replay(again, plain, any_formula=any_formula) if left() or not lazy else ():
        for name in lines.keys() - hopeless:
            lines[name] = _with(lines[name], max(least[name], noise[name]), truth.get(name))
        if lazy and not left():
            break
    return lines


def _from_the_truth(
    yours: Numbers, case: Case, evaluate: Callable[[Case], Numbers], plain: Numbers
) -> dict[str, tuple[float, float]]:
    """How far the candidate, and autograd itself, are off autograd's result in higher precision on the same numbers."""
    right = evaluate(case.in_truth())
    away = [{name: float(np.abs(of[name] - right[name]).max()) for name in yours} for of in (yours, plain)]
    return {name: (away[0][name], away[1][name]) for name in yours}


def _with(line: Line, noise: float, truth: tuple[float, float] | None) -> Line:
    """With that noise allowed. What is near enough to the truth is not held to what autograd itself is off it."""
    limit = allowed(line.precision, line.largest, noise)
    yours_off, autograd_off = truth or (np.inf, 0.0)
    return replace(line, noise=noise, allowed=limit + autograd_off if yours_off <= limit else limit)


def _line(case: Case, name: str, largest: float, right: Array, yours: Array | str | None) -> Line:
    """What is to be said of an array of the candidate, or why there is none, before any noise is measured."""
    problem = _problem(yours, right, case) if isinstance(yours, np.ndarray) else yours
    label, bound = case.label(name), allowed(case.precision, largest)
    if problem or not isinstance(yours, np.ndarray):
        return Line(label, case.precision, largest, allowed=bound, problem=problem)
    if not right.size:
        return Line(label, case.precision, largest, error=0.0, allowed=bound)
    off = np.abs(np.subtract(yours, right, dtype=np.float64))
    place = int(off.argmax())  # of a NaN, if there is one
    error, one, other = float(off.flat[place]), yours.flat[place], right.flat[place]
    index = tuple(map(int, np.unravel_index(place, right.shape)))
    if not isfinite(error):
        problem = f"{one}{f' at {list(index)}' if index else ''}, expected {other}"
        return Line(label, case.precision, largest, allowed=bound, problem=problem)
    return Line(
        label,
        case.precision,
        largest,
        error=error,
        allowed=bound,
        index=index,
        yours=float(one),
        autograd=float(other),
    )


def _largest(array: Array) -> float:
    """The largest absolute value; NaN if there is one. 0 for an array without elements."""
    return max(float(array.max()), -float(array.min())) if array.size else 0.0


def _problem(array: Array, right: Array, case: Case) -> str | None:
    if array.shape != right.shape:
        return f"shape {array.shape}, expected {right.shape}{_hint(array, right, case)}"
    if array.dtype != right.dtype:
        return f"dtype {array.dtype}, expected {right.dtype}"
    return None


def _hint(array: Array, right: Array, case: Case) -> str:
    batch = case.sizes.get("batch", 0)
    if array.ndim == 0:
        return ": summed over everything" if right.size > 1 else ": a number without axes"
    if right.ndim == 0:
        return ": one loss for each sample or output, not their mean or sum" if array.size > 1 else ": a scalar"
    if array.size == right.size:
        return ": transposed" if array.T.shape == right.shape else ": the same elements in another shape"
    if array.shape in ((right.shape[0], batch), (batch, *right.shape)):
        return ": not summed over the batch"
    return ": summed over the other axis" if array.size == batch else ""
