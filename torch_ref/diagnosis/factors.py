"""Which plain number, or which of the sizes, a wrong tensor is autograd's times: -1, 2, batch, batch/4, 1/batch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from math import prod, sqrt
from typing import TypeAlias

import numpy as np

from torch_ref.diagnosis.evidence import Evidence
from torch_ref.diagnosis.named_numbers import LOGARITHMS, NAMED
from torch_ref.results import Comparison, Finding


@dataclass(frozen=True)
class Factor:
    """A constant times powers of the sizes of a case: {"batch": 1} for the batch, {"batch": -1} for one over it."""

    constant: float
    powers: tuple[tuple[str, int], ...]

    def of(self, sizes: dict[str, int]) -> float:
        """Its value for a case of these sizes."""
        return self.constant * prod(float(sizes.get(size, 1)) ** power for size, power in self.powers)

    def __str__(self) -> str:
        magnitude = abs(self.constant)
        above = [size for size, power in self.powers for _ in range(power)]
        below = [size for size, power in self.powers for _ in range(-power)]
        digits = 6 if magnitude == 1 or abs(magnitude - 1) > 1e-5 else 15  # 1.00000000001 is not 1
        number = NAMED.get(magnitude, f"{magnitude:.{digits}g}")
        if 0 < magnitude < 2 / 3 and abs(1 / magnitude - round(1 / magnitude)) < 1e-9 / magnitude:
            number, below = "1", [str(round(1 / magnitude)), *below]
        elif (whole := _fraction(magnitude)) and magnitude not in NAMED:
            number, below = str(whole.numerator), [str(whole.denominator)] * (whole.denominator > 1) + below
        numerator = " ".join(([] if number == "1" and above else [number]) + above)
        denominator = f"({' '.join(below)})" if len(below) > 1 else "".join(below)
        return f"{'-' if self.constant < 0 else ''}{numerator}{'/' if below else ''}{denominator}"


def _fraction(magnitude: float) -> Fraction | None:
    """Of two small numbers, if it has more digits than are shown."""
    ratio = Fraction(magnitude).limit_denominator(64)
    is_near = 0 < abs(ratio - Fraction(magnitude)) <= 1e-12 * magnitude
    return ratio if is_near and ratio != 1 and float(f"{magnitude:.6g}") != magnitude else None


Why: TypeAlias = Callable[[Factor, tuple[str, ...], Evidence], str]


def factors(evidence: Evidence, wrong: list[str], why: Why | None = None) -> Iterator[Finding]:
    """What is autograd's times one factor in every case; equal factors are one finding. `why` says where it is from."""
    groups: dict[Factor, list[str]] = {}
    for name in wrong:
        lines = [comparison.lines[name] for comparison in evidence.comparisons]
        comparable = not any(line.problem or line.vacuous for line in lines)
        if comparable and (factor := find_factor(evidence.comparisons, name)):
            same = next((other for other in groups if _is_same(factor, other, evidence.comparisons, name)), factor)
            groups.setdefault(same, []).append(name)
    for factor, names in groups.items():
        found = tuple(names)
        what = evidence.labels(found)
        if is_every_gradient(found, evidence):
            what = "the loss and every gradient" if "loss" in names else "every gradient"
        reason = (why or general_why)(factor, found, evidence)
        yield Finding("factor", str(factor), found, f"{what}: {factor} × autograd's ({reason}).")


def common_factor(comparisons: list[Comparison]) -> Factor | None:
    """The one factor by which all results and gradients differ in these cases, if there is one."""
    found = set()
    for name, line in comparisons[0].lines.items():
        if line.problem or not line.largest:
            return None
        found.add(find_factor(comparisons, name))
    return found.pop() if len(found) == 1 else None


def other_reduction(comparisons: list[Comparison]) -> str | None:
    """What these cases give, if that is autograd's times one factor: the loss too, or the gradients without a loss."""
    if all(of.passed for of in comparisons) or any(of.breach for of in comparisons):
        return None
    factor, given = common_factor(comparisons), set(comparisons[0].lines)
    what = "gradients" if given <= set(comparisons[0].case.differentiated) else "loss and gradients"
    return f"{factor} × autograd's {what}" if factor else None


def is_every_gradient(names: tuple[str, ...], evidence: Evidence) -> bool:
    """Whether no gradient is missing among the names."""
    return set(evidence.first.case.differentiated) <= set(names)


def find_factor(comparisons: list[Comparison], name: str) -> Factor | None:
    """The factor that makes autograd's numbers the candidate's, within rounding and in every case, if there is one.

    Every case must have them in the right shape, and what is allowed measured.
    """
    first = comparisons[0]
    slack = max(comparison.lines[name].allowed / comparison.lines[name].largest for comparison in comparisons)
    for powers in _powers(list(first.case.sizes)):
        unit = Factor(1.0, tuple(powers.items()))
        factor = Factor(plain(_ratio(first, name) / unit.of(first.case.sizes), slack), unit.powers)
        if np.isfinite(factor.constant) and all(_reproduces(factor, comparison, name) for comparison in comparisons):
            return factor
    return None


def _is_same(factor: Factor, other: Factor, comparisons: list[Comparison], name: str) -> bool:
    """Whether two factors, the first of them found for that name, differ by rounding alone."""
    return factor.powers == other.powers and all(_reproduces(other, comparison, name) for comparison in comparisons)


def _powers(sizes: list[str]) -> Iterator[dict[str, int]]:
    """No size; each size and one over it; each two together; the square of each."""
    yield {}
    for power in 1, -1:
        yield from ({size: power} for size in sizes)
    for power in 1, -1:
        yield from (dict.fromkeys(pair, power) for pair in combinations(sizes, 2))
    for power in 2, -2:
        yield from ({size: power} for size in sizes)


def _ratio(comparison: Comparison, name: str) -> float:
    right = comparison.autograd[name]
    index = np.unravel_index(np.argmax(np.abs(right)), right.shape)
    return float(comparison.yours[name][index]) / float(right[index])


def plain(ratio: float, slack: float) -> float:
    """The plain number that a ratio stands for, if one is within what rounding allows; else the ratio."""
    if not np.isfinite(ratio):
        return ratio
    for number in (*NAMED, float(Fraction(abs(ratio)).limit_denominator(64))):
        if abs(abs(ratio) - number) <= slack * max(number, 1.0):
            return float(np.copysign(number, ratio))
    return ratio


def _reproduces(factor: Factor, comparison: Comparison, name: str) -> bool:
    value = factor.of(comparison.case.sizes)
    with np.errstate(over="ignore", invalid="ignore"):  # a candidate's numbers may be of any size
        difference = np.abs(comparison.yours[name] - value * comparison.autograd[name].astype(float)).max()
    return bool(difference <= max(abs(value), 1e-3) * comparison.lines[name].allowed)


def of_axis(magnitude: float, evidence: Evidence) -> str:
    """Which argument has an axis of this size, or of its inverse or square: a mean may be where a sum belongs."""
    for name, array in evidence.first.case.arguments.items():
        for size in sorted(set(array.shape) - set(evidence.first.case.sizes.values()) - {1, 2}):
            roots = () if sqrt(size).is_integer() else (sqrt(size), 1 / sqrt(size))
            is_one = array.shape.count(size) == 1  # which of two axes would be a guess
            if is_one and any(abs(magnitude * other - 1) < 1e-9 for other in (size, 1 / size, *roots)):
                return f"; {size} is the size of an axis of {name}"
    return ""


def general_why(factor: Factor, names: tuple[str, ...], evidence: Evidence) -> str:
    """Where a factor comes from, and what to do about it, in any network."""
    batches, magnitude = dict(factor.powers).get("batch", 0), abs(factor.constant)
    if factor.constant == 0:
        return "never computed, or taken off again"
    if not factor.powers and magnitude in LOGARITHMS:
        return "a logarithm to another base; take the natural one"
    if not factor.powers:
        if magnitude == 1:
            return "the sign is the wrong way round"
        inverse = Factor(1 / magnitude, ())
        what = f"divided by {inverse} too often, or a factor {inverse} is missing"
        if magnitude > 1:
            what = f"a factor {Factor(magnitude, ())} too many, or a division by it is missing"
        return f"{what}{of_axis(magnitude, evidence)}"
    if batches > 0:
        half = "; ½ Σ where a mean is meant, or" if magnitude == 0.5 else ","
        why = f"divided by {1 / magnitude:.6g} where the batch belongs{half} a batch size that is hard-coded?"
        if magnitude >= 1:
            more = f" and by {magnitude:.6g}: a sum where a mean over more than the batch is meant" * (magnitude > 1)
            why = f"not divided by the batch{more}"
    elif batches < 0:
        twice = is_every_gradient(names, evidence)
        why = f"averaged over the batch {'twice' if twice else 'though the loss is a mean already; sum it'}"
        if evidence.first.case.upstream:  # there is no loss
            more = f" and by {1 / magnitude:.6g}" if magnitude < 1 else ""
            why = f"divided by the batch{more}; what a mean divides by is in upstream already"
    else:
        why = f"the size of {' and '.join(size for size, _ in factor.powers)} should not come into it"
    return f"{why}; and the sign is the wrong way round" if factor.constant < 0 else why
