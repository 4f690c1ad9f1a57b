"""One candidate on one case: its results and each gradient against the reference. Measured first, judged second."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from math import isfinite, nan, sqrt
from typing import TypeAlias

import numpy as np

from torch_ref.candidate.calling import Candidate
from torch_ref.cases.case import Array, Case, Numbers
from torch_ref.coarse_comparison import explained_coarsely
from torch_ref.errors import ContractError, UnusableError
from torch_ref.results import Comparison, Line
from torch_ref.rounding import FINER, REPLAYS, allowed, bound, farthest, from_arguments, indices, replay

Evaluate: TypeAlias = Callable[[Case], Numbers]
HOPELESS = 10_000  # times what is allowed after one replay: more than a sum of 10⁹ terms rounds; `bound` has the rest
FAR = 100  # times: the same where it is known by the arguments, and decides nothing any more
SURE = 3  # times what all replays will allow, if they go on as they began: the same, by the replays


def compare(
    candidate: Candidate,
    case: Case,
    evaluate: Evaluate,
    *,
    lazy: bool = True,
    wrong: Collection[str] = (),
    right: Numbers | None = None,
) -> Comparison:
    """Run the candidate on a copy of the case and compare what it returns with what `evaluate` gives: right, if known.

    Of each line in turn: present, shape, dtype, finite, value. When lazy, noise is measured only where a difference
    is over 8 √n u max|g|, which is allowed whatever the noise, and only until the noise explains it. wrong are names
    that differ in another case, and so have failed: where they are far off here too, nobody asks whether any replay
    could explain it. A breach of the contract ends the comparison, not the program. Raises UnusableError when the
    reference itself is not finite.
    """
    plain = evaluate(case.judged) if right is None else right
    largest = {name: _largest(array) for name, array in plain.items()}
    for name, size in largest.items():
        if not isfinite(size):
            raise UnusableError(f"reference: {case.label(name)} is not finite, expected finite numbers  {case}")
    try:
        answer = candidate(case)
    except ContractError as error:
        return Comparison(case, plain, breach=str(error))
    came: dict[str, Array | str] = {**answer.problems, **answer.arrays}
    lines = {
        name: _line(case, name, largest[name], plain[name], came[name], answer.formats.get(name))
        for name in plain
        if case.asks(name) and name in came
    }
    doubtful = {name: line for name, line in lines.items() if not (lazy and (line.passed or line.problem))}
    if case.precision.coarse:
        lines |= explained_coarsely(lines, case, evaluate, plain, lazy=lazy, wrong=wrong)
    elif doubtful:
        _explain(doubt := _Doubt(case, doubtful, lazy, wrong), answer.arrays, plain, evaluate)
        lines |= doubt.lines
    return Comparison(case, plain, answer.arrays, lines)


@dataclass
class _Doubt:
    """Lines of a case over what is allowed without noise, and what is known of them by now."""

    case: Case
    lines: dict[str, Line]
    lazy: bool
    wrong: Collection[str]  # what differs in another case
    truth: dict[str, tuple[float, float]] = field(default_factory=dict)  # how far the candidate and autograd are off it
    hopeless: set[str] = field(default_factory=set)  # what no replay can explain

    @property
    def left(self) -> set[str]:
        """What has a value that is not explained yet, and may be."""
        return {n for n, line in self.lines.items() if not (n in self.hopeless or line.passed or line.problem)}

    @property
    def far(self) -> set[str]:
        """Of that what is so far off that more replays will hardly do."""
        return {name for name in self.left if self.lazy and self.lines[name].severity > HOPELESS}

    def give_up(self, beyond: float) -> None:
        """Ask no more where what is wrong anyway is more than so many times beyond what is allowed."""
        off = {name: self.lines[name].severity for name in self.left & set(self.wrong)}
        self.hopeless |= {name for name, severity in off.items() if self.lazy and severity > beyond}

    def exclude(self, most: Mapping[str, float]) -> None:
        """Ask no more of what is far off where not even so much noise explains it."""
        line_with = {n: _with(self.case, self.lines[n], most[n], self.truth.get(n)) for n in self.far}
        beyond = {name for name, line in line_with.items() if not line.passed}
        self.allow({name: FINER * size for name, size in most.items()}, beyond)
        self.hopeless |= beyond

    @property
    def decided(self) -> bool:
        """Whether no replay is needed any more."""
        return self.lazy and not self.left

    def allow(self, noise: Mapping[str, float], names: Collection[str]) -> None:
        """Allow for as much noise, if it is more than before."""
        for name in names:
            most = max(self.lines[name].noise, noise[name])
            self.lines[name] = _with(self.case, self.lines[name], most, self.truth.get(name))


def _explain(doubt: _Doubt, yours: Numbers, plain: Numbers, evaluate: Evaluate) -> None:
    """Allow what rounding explains. When lazy, until all is explained but for what no replay can explain."""
    case = doubt.case
    doubt.give_up(HOPELESS)
    for least in () if doubt.decided else from_arguments(evaluate, case, plain):
        doubt.allow(least, doubt.lines.keys() - doubt.hopeless)
        doubt.give_up(FAR)
        if doubt.decided or doubt.far:
            break
    if case.precision.truth and not case.saturated and doubt.left:
        doubt.truth = _from_the_truth({name: yours[name] for name in doubt.left}, case, evaluate, plain)
        doubt.allow(dict.fromkeys(plain, 0.0), doubt.truth)
    # A saturated case asks for torch's own formula: what others make of it is reported, not expected to match.
    again, any_formula = partial(evaluate, case), not case.saturated
    for count, noise in enumerate(() if doubt.decided else replay(again, plain, any_formula=any_formula)):
        doubt.allow(noise, doubt.lines.keys() - doubt.hopeless)
        if count == 0 and doubt.far:
            doubt.exclude(bound(again, plain, any_formula=any_formula))
        if count:  # there was one of each kind; all 32 come to √(32 / so many) times as much
            doubt.give_up(SURE * sqrt(2 * REPLAYS / (count + 1)))
        if doubt.decided:
            break


def _from_the_truth(yours: Numbers, case: Case, evaluate: Evaluate, plain: Numbers) -> dict[str, tuple[float, float]]:
    """How far the candidate, and autograd itself, are off autograd's result in higher precision on the same numbers."""
    right = evaluate(case.in_truth())
    away = [{name: farthest(of[name], right[name])[0] for name in yours} for of in (yours, plain)]
    return {name: (away[0][name], away[1][name]) for name in yours}


def _with(case: Case, line: Line, noise: float, truth: tuple[float, float] | None) -> Line:
    """With that noise allowed. What is near enough to the truth is not held to what autograd itself is off it."""
    limit = allowed(line.precision, line.largest, noise, case.terms)
    yours_off, autograd_off = truth or (np.inf, 0.0)
    return replace(line, noise=noise, allowed=limit + autograd_off if yours_off <= limit else limit)


def _line(case: Case, name: str, largest: float, right: Array, yours: Array | str, dtype: str | None) -> Line:
    """What is to be said of an array of the candidate, or why there is none, before any noise is measured.

    dtype is that of the tensor that it was, if it is not the array's.
    """
    problem = yours if isinstance(yours, str) else _problem(yours, right, case, dtype)
    label, bound = case.label(name), allowed(case.precision, largest, terms=case.terms)
    if problem or isinstance(yours, str):
        return Line(label, case.precision, largest, allowed=bound, problem=problem)
    one, other, end = yours, right, case.precision.largest
    if largest > end:  # the format has no such number: its largest, or infinity, is right
        beyond = np.abs(right) > end
        one, other = (np.where(beyond, np.clip(array, -end, end), array) for array in (yours, right))
    error, place = farthest(one, other)
    index = indices(place, right.shape) if right.size else ()
    if not isfinite(error):
        problem = f"{yours[index]}{f' at {list(index)}' if index else ''}, expected {right[index]}"
        return Line(label, case.precision, largest, error=np.inf, allowed=bound, problem=problem)
    values = (yours.item(place), right.item(place)) if right.size else (nan, nan)
    return Line(label, case.precision, largest, error, bound, 0.0, index, *values)


def _largest(array: Array) -> float:
    """The largest absolute value; NaN if there is one. 0 for an array without elements."""
    return max(float(array.item(array.argmax())), -float(array.item(array.argmin()))) if array.size else 0.0


def _problem(array: Array, right: Array, case: Case, dtype: str | None) -> str | None:
    if array.shape != right.shape:
        return f"shape {array.shape}, expected {right.shape}{_hint(array, right, case.sizes.get('batch', 0))}"
    if array.dtype == right.dtype and case.judge is case.precision and dtype is None:
        return None  # as nearly always; the names of dtypes take a while
    expected = right.dtype.name
    if expected == case.judge.array:  # else the reference itself has another
        expected = case.precision.name if dtype else case.precision.array
    if (dtype or array.dtype.name) != expected or not array.dtype.isnative:
        return f"dtype {dtype or array.dtype}, expected {expected}"
    return None


def _hint(array: Array, right: Array, batch: int) -> str:
    if not array.ndim:
        is_sum = right.size > 1 and array.dtype.kind == "f" and array != 0
        return ": summed over everything" if is_sum else ": a number without axes"
    if not right.ndim:
        return ": one loss for each sample or output, not their mean or sum" if array.size > 1 else ": a scalar"
    if array.size == right.size:
        return ": transposed" if array.T.shape == right.shape else ": the same elements in another shape"
    one_a_row = right.size == len(right)  # as in a bias
    if array.shape == (batch, *right.shape) or (one_a_row and array.shape == (len(right), batch)):
        return ": not summed over the batch"
    return ": summed over the other axis" if one_a_row and array.size == batch else ""
