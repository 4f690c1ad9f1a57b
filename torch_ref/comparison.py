"""One candidate on one case: its results and each gradient against the reference. Measured first, judged second."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import isfinite

import numpy as np

from torch_ref.candidate.calling import Candidate
from torch_ref.cases.case import Array, Case, Numbers
from torch_ref.errors import ContractError, UnusableError
from torch_ref.results import Comparison, Line
from torch_ref.rounding import allowed, replay


def compare(candidate: Candidate, case: Case, evaluate: Callable[[Case], Numbers], *, lazy: bool = True) -> Comparison:
    """Run the candidate on a copy of the case and compare what it returns with what `evaluate` gives.

    Of each line in turn: present, shape, dtype, finite, value. When lazy, noise is measured only where a difference
    is over 8 u max|g|, which is allowed whatever the noise, and only until the noise explains it. A breach of the
    contract ends the comparison, not the program. Raises UnusableError when the reference itself is not finite.
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
        if name in answer.arrays or name in answer.problems
    }
    doubtful = [name for name, line in lines.items() if not (lazy and (line.passed or line.problem))]
    if doubtful:
        # A saturated case asks for torch's own formula: what others make of it is reported, not expected to match.
        for noise in replay(partial(evaluate, case), plain, any_formula=not case.saturated):
            for name in doubtful:
                bound = allowed(case.precision, lines[name].largest, noise[name])
                lines[name] = replace(lines[name], noise=noise[name], allowed=bound)
            if lazy and all(lines[name].passed for name in doubtful):
                break
    return Comparison(case, plain, answer.arrays, lines)


def _line(case: Case, name: str, largest: float, right: Array, yours: Array | str | None) -> Line:
    """What is to be said of an array of the candidate, or why there is none, before any noise is measured."""
    problem = _problem(yours, right, case) if isinstance(yours, np.ndarray) else yours
    bound = allowed(case.precision, largest)
    if problem or not isinstance(yours, np.ndarray):
        return Line(case.label(name), case.precision, largest, allowed=bound, problem=problem)
    off = np.abs(np.subtract(yours, right, dtype=np.float64))
    place = int(off.argmax())  # of a NaN, if there is one
    error, index = float(off.flat[place]), tuple(map(int, np.unravel_index(place, right.shape)))
    if not isfinite(error):
        where = f" at {list(index)}" if index else ""
        problem = f"{yours[index]}{where}, expected {right[index]}"
        return Line(case.label(name), case.precision, largest, allowed=bound, problem=problem)
    line = Line(case.label(name), case.precision, largest, error=error, allowed=bound, index=index)
    return replace(line, yours=float(yours[index]), autograd=float(right[index]))


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
