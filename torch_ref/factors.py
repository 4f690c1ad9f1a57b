"""Which plain number, or which of the sizes, a wrong tensor is autograd's times: -1, 2, batch, batch/4, 1/batch."""

from dataclasses import dataclass
from fractions import Fraction
from math import log, prod

import numpy as np

from torch_ref.cases import label
from torch_ref.comparison import Comparison
from torch_ref.evidence import Evidence

LOGARITHMS = {log(2): "ln 2", 1 / log(2): "1/ln 2", log(10): "ln 10", 1 / log(10): "1/ln 10"}
POWERS: tuple[dict[str, int], ...] = (
    {},
    *({size: power} for size in ("batch", "out", "hidden", "in") for power in (1, -1)),
    {"batch": 1, "out": 1},
    {"batch": -1, "out": -1},
    {"batch": 2},
    {"batch": -2},
)


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
        number = LOGARITHMS.get(magnitude, f"{magnitude:.{digits}g}")
        if 0 < magnitude < 1 and abs(1 / magnitude - round(1 / magnitude)) < 1e-9 / magnitude:
            number, below = "1", [str(round(1 / magnitude)), *below]
        numerator = " ".join(([] if number == "1" and above else [number]) + above)
        denominator = f"({' '.join(below)})" if len(below) > 1 else "".join(below)
        return f"{'-' if self.constant < 0 else ''}{numerator}{'/' if below else ''}{denominator}"


def find_factor(evidence: list[Comparison], name: str) -> Factor | None:
    """The factor that makes autograd's tensor the candidate's, within rounding and in every case, if there is one.

    Every case must have the tensor in the right shape, and its allowance measured.
    """
    slack = max(comparison.tensors[name].allowed / comparison.tensors[name].largest for comparison in evidence)
    for powers in POWERS:
        unit = Factor(1.0, tuple(powers.items()))
        factor = Factor(_plain(_ratio(evidence[0], name) / unit.of(evidence[0].case.sizes), slack), unit.powers)
        if np.isfinite(factor.constant) and all(_reproduces(factor, comparison, name) for comparison in evidence):
            return factor
    return None


def _ratio(comparison: Comparison, name: str) -> float:
    right = comparison.autograd[name]
    index = np.unravel_index(np.argmax(np.abs(right)), right.shape)
    return float(comparison.yours[name][index]) / float(right[index])


def _plain(ratio: float, slack: float) -> float:
    """The plain number that a ratio stands for, if one is within what rounding allows; else the ratio."""
    if not np.isfinite(ratio):
        return ratio
    for number in (*LOGARITHMS, float(Fraction(abs(ratio)).limit_denominator(64))):
        if abs(abs(ratio) - number) <= slack * max(number, 1.0):
            return float(np.copysign(number, ratio))
    return ratio


def _reproduces(factor: Factor, comparison: Comparison, name: str) -> bool:
    value = factor.of(comparison.case.sizes)
    difference = np.abs(comparison.yours[name] - value * comparison.autograd[name].astype(float)).max()
    return bool(difference <= max(abs(value), 1e-3) * comparison.tensors[name].allowed)


def explain(factor: Factor, tensors: tuple[str, ...], evidence: Evidence) -> str:
    """In a sentence: what the tensors are, and what to do about it."""
    chain, case = evidence.reference.chain, evidence.first.case
    # What a mean divides by, as powers: in another network than ours that is the batch, if it is a mean at all.
    terms = (("batch", 1), ("out", 1)) if case.sizes.get("out", 1) > 1 else (("batch", 1),)
    every = set(case.parameters) <= set(tensors)
    what = ", ".join(map(label, tensors))
    if every:
        what = "the loss and every gradient" if "loss" in tensors else "every gradient"
    why = _why(factor, every=every, terms=terms, reduction=chain.reduction if chain else "")
    if factor.constant < 0 and factor.powers:
        why += "; and the sign is the wrong way round"
    if chain and every and "loss" in tensors and factor.powers in (terms, tuple((size, -n) for size, n in terms)):
        why += f"; if that is meant, say --reduction {'sum' if chain.reduction == 'mean' else 'mean'}"
    return f"{what}: {factor} × autograd's ({why})."


def _why(  # noqa: PLR0911  # one answer a case
    factor: Factor, *, every: bool, terms: tuple[tuple[str, int], ...], reduction: str
) -> str:
    divided = tuple((size, -power) for size, power in factor.powers)
    batches = dict(factor.powers).get("batch", 0)
    if factor.constant == 0:
        return "never computed"
    if not factor.powers and abs(factor.constant) in LOGARITHMS:
        return "a logarithm to another base; take the natural one"
    if not factor.powers:
        return "the sign is the wrong way round" if factor.constant == -1 else "a stray factor; take it out"
    if divided == terms and reduction == "sum":
        return "of the mean, where the loss is a sum; do not divide"
    if batches > 0 and abs(factor.constant) == 1:
        by = "number of terms" if factor.powers == terms and reduction else "batch"
        return f"not divided by the {by}{', though the loss is a mean' if reduction == 'mean' else ''}"
    if batches > 0:
        return f"divided by {1 / abs(factor.constant):.6g} where the batch belongs, a batch size that is hard-coded?"
    if batches < 0:
        return "averaged over the batch " + ("twice" if every else "though ∂L/∂G is a mean already; sum it")
    return f"the size of {' and '.join(size for size, _ in factor.powers)} should not come into it"
