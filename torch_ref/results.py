"""What was found in one case, and what explains it, as data. Nothing here knows how it is shown."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from torch_ref.cases.case import Case, Numbers
from torch_ref.precision import Precision

ZERO = 5  # times the noise: a gradient that is no larger is rounding alone


@dataclass(frozen=True, slots=True)  # one is kept of every case
class Line:
    """A result or one gradient of the candidate beside the reference's, at the element where it is furthest off.

    problem says why there are no values to compare (shape, dtype, NaN); the numbers are then NaN, None or as below.
    """

    label: str
    precision: Precision
    largest: float  # max|g| of the reference
    error: float = np.nan  # the largest |candidate - reference| of any element
    allowed: float = 0.0
    noise: float = 0.0  # of the reference's own, as far as it was measured
    index: tuple[int, ...] = ()  # of that element
    yours: float = np.nan  # there
    autograd: float = np.nan  # there
    problem: str | None = None
    own_format: bool = False  # whether it is allowed what autograd itself is off the truth in a coarse format

    @property
    def passed(self) -> bool:
        """Whether there is a value and it is within what is allowed."""
        return self.problem is None and self.error <= self.allowed

    @property
    def vacuous(self) -> bool:
        """Whether a gradient of zeros would have passed too, so that passing proves nothing."""
        return self.allowed >= self.largest

    @property
    def zero(self) -> bool:
        """Whether the reference's own is 0, exactly or within its noise: a bias before batch norm, say."""
        return self.largest <= ZERO * self.noise

    @property
    def severity(self) -> float:
        """The error as a multiple of what is allowed: over 1 fails. Infinite where there is no value to compare."""
        if self.allowed == np.inf:
            return 0.0
        return np.inf if self.problem else self.error / self.allowed

    @property
    def relative(self) -> float:
        """The error as a share of max|g|. Infinite where there is no value to compare, or max|g| is 0 and it is not."""
        if self.problem:
            return np.inf
        return self.error / self.largest if self.largest else (np.inf if self.error else 0.0)

    @property
    def units(self) -> float:
        """The error in units of u × max|g|, the size of one rounding."""
        return self.relative / self.precision.unit_roundoff

    @property
    def limit(self) -> float:
        """What is allowed, in the same units. Infinite where max|g| is 0."""
        return self.allowed / self.largest / self.precision.unit_roundoff if self.largest else np.inf

    def __str__(self) -> str:
        if self.problem:
            return f"{self.label}: {self.problem}"
        where = f"[{', '.join(map(str, self.index))}]" if self.index else ""
        digits = np.dtype(self.precision.array).type  # each digit that the format has, and no more
        values = f"yours {digits(self.yours)!s}, autograd {digits(self.autograd)!s}"
        off, most = _told_apart(self.error, self.allowed)
        return f"{self.label}{where}: {values}, off by {off} (allowed {most})"


def _told_apart(error: float, allowed: float) -> tuple[str, str]:
    """Both in as few digits as show which is more."""
    for digits in range(2, 18):
        off, most = f"{error:.{max(4, digits)}g}", f"{allowed:.{digits}g}"
        if (float(off) > float(most)) == (error > allowed):
            break
    return off, most


@dataclass(frozen=True)
class Comparison:
    """A case and what came of it: a breach of the contract, or a line for each result and gradient, by name.

    yours has what the candidate returned, as far as that was arrays, in whatever shape; autograd has what is right.
    """

    case: Case
    autograd: Numbers
    yours: Numbers = field(default_factory=dict)
    lines: dict[str, Line] = field(default_factory=dict)
    breach: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the contract was kept and every line passed."""
        return self.breach is None and all(line.passed for line in self.lines.values())

    def __str__(self) -> str:
        if self.breach is not None:
            return f"{self.breach}  {self.case}"
        wrong = [line for line in self.lines.values() if not line.passed]
        return "\n".join(f"{line}  {self.case}" for line in wrong or self.lines.values())


class Place(NamedTuple):
    """Where the code of a candidate begins: the file, and the line in it."""

    file: str
    line: int


@dataclass(frozen=True)
class Timing:
    """The seconds that a call takes on a case of these sizes, at best: the candidate's, and autograd's."""

    sizes: dict[str, int]
    candidate: float
    autograd: float


@dataclass(frozen=True)
class Accuracy:
    """How far a result or gradient is off the truth in each of some cases, in units of u max|g| of that dtype."""

    name: str
    label: str
    dtype: str
    candidate: list[float] = field(default_factory=list)
    autograd: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Finding:
    """One explanation. kind: form, factor, loss, mistake, precision, chain or condition. tensors: those it explains."""

    kind: str
    name: str
    tensors: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Description:
    """What a report says of its reference; words are the command line's for it.

    saturated says why right code may differ in saturated cases, if it may, as in "where torch clamps".
    """

    title: str
    model: str
    loss: str | None
    words: tuple[str, ...] = ()
    saturated: str = ""


@dataclass(frozen=True)
class Lockstep:
    """The largest difference at any step of a run in NumPy and the same run in torch, and what rounding allows."""

    steps: int
    loss: float
    parameters: float
    allowed: float

    @property
    def passed(self) -> bool:
        """Whether both differences are within what is allowed."""
        return self.loss <= self.allowed and self.parameters <= self.allowed  # both False for NaN
