"""One candidate on one case: its results and each gradient against the reference. Measured first, judged second."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

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
    for name, array in plain.items():
        if not np.isfinite(array).all():
            raise UnusableError(f"reference: {case.label(name)} is not finite, expected finite numbers  {case}")
    try:
        answer = candidate(case)
    except ContractError as error:
        return Comparison(case, plain, breach=str(error))
    lines = {name: _line(name, answer.arrays.get(name), answer.problems.get(name), case, plain) for name in plain}
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


def _line(name: str, array: Array | None, problem: str | None, case: Case, plain: Numbers) -> Line:
    right = plain[name]
    largest = float(np.abs(right).max())
    if array is not None:
        problem = _problem(array, right, case)
    line = Line(case.label(name), case.precision, largest, allowed=allowed(case.precision, largest), problem=problem)
    if array is None or problem:
        return line
    difference = np.abs(array.astype(np.float64) - right.astype(np.float64))
    index = np.unravel_index(np.argmax(difference), right.shape)
    where = tuple(map(int, index))
    yours, autograd = float(array[index]), float(right[index])
    return replace(line, error=float(difference[index]), index=where, yours=yours, autograd=autograd)


def _problem(array: Array, right: Array, case: Case) -> str | None:
    if array.shape != right.shape:
        return f"shape {array.shape}, expected {right.shape}{_hint(array, right, case)}"
    if array.dtype != right.dtype:
        return f"dtype {array.dtype}, expected {right.dtype}"
    if not np.isfinite(array).all():
        index = tuple(map(int, np.argwhere(~np.isfinite(array))[0]))
        return f"{array[index]}{f' at {list(index)}' if index else ''}, expected {right[index]}"
    return None


def _hint(array: Array, right: Array, case: Case) -> str:
    batch = case.sizes.get("batch", 0)
    if array.ndim == 0:
        return ": summed over everything"
    if right.ndim == 0:
        return ": one loss for each sample or output, not their mean or sum" if array.size > 1 else ": a scalar"
    if array.size == right.size:
        return ": transposed" if array.T.shape == right.shape else ": the same elements in another shape"
    if array.shape in ((right.shape[0], batch), (batch, *right.shape)):
        return ": not summed over the batch"
    return ": summed over the other axis" if array.size == batch else ""
