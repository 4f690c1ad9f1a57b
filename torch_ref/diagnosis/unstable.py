"""A formula that loses digits: it is off by about as many roundings in float64 as in float32."""

from collections.abc import Iterator

import numpy as np

from torch_ref.candidate.calling import Candidate
from torch_ref.comparison import compare
from torch_ref.precision import FLOAT32, FLOAT64
from torch_ref.reference.base import BaseReference
from torch_ref.results import Comparison, Finding, Line

MORE = 100  # times as many roundings in one format as in the other: not by rounding alone
FEWER = 10
MANY = 30  # roundings: more than nearly any right code is off
MOST = 1e9  # roundings that a formula is off by rounding, in float64
HINT = (
    "write the formula so that it keeps them: log1p(x) for log(1 + x), expm1(x) for exp(x) - 1, squares of deviations "
    "for E[x²] - E[x]²"
)


def loses_digits(candidate: Candidate, reference: BaseReference, failure: Comparison) -> Iterator[Finding]:
    """What fails by little, in a case of which the same is true in the other of the two formats.

    A mistake is as large in float32 as in float64, and so is many fewer roundings there.
    """
    wrong = {name: line for name, line in failure.lines.items() if not line.passed}
    others = {FLOAT64.name: FLOAT32, FLOAT32.name: FLOAT64}
    other = others.get(failure.case.precision.name)
    is_near = all(line.problem is None and line.units < MOST for line in wrong.values())
    if other is None or failure.case.saturated or not wrong or not is_near:
        return
    again = compare(candidate, failure.case.widened(other), reference.evaluate, lazy=False)
    if again.breach is None and all(_is_alike(line, again.lines.get(name)) for name, line in wrong.items()):
        labels = ", ".join(map(failure.case.label, wrong))
        worst = max(wrong, key=lambda name: wrong[name].units)
        many = [f"{_count(of.lines[worst].units)} roundings in {of.case.precision}" for of in (failure, again)]
        text = f"{labels}: off by {many[0]} and by {many[1]}: what is wrong is rounding, digits are lost"
        yield Finding("precision", "loses digits", tuple(wrong), f"{text}; {HINT}.")


def _count(units: float) -> str:
    return f"{units:.0f}" if units < 1e4 else f"{units:.1e}"


def _is_alike(one: Line, other: Line | None) -> bool:
    """Whether what is off in one format is rounding, by what is off in another one."""
    if other is None or other.problem or not np.isfinite(one.units) or not np.isfinite(other.units):
        return False
    is_off = not other.passed or other.units > max(MANY, one.units / FEWER)
    return is_off and one.units / MORE < other.units < one.units * MORE
