"""What was found, as data: of one line, one case, many cases, one candidate. Nothing here knows how it is shown."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from torch_ref.cases.case import Case, Numbers
from torch_ref.precision import Precision


@dataclass(frozen=True)
class Line:
    """A result or one gradient of the candidate beside the reference's, at the element where it is furthest off.

    problem says why there are no values to compare (shape, dtype, NaN); the numbers are then NaN, None or as below.
    """

    label: str
    precision: Precision
    largest: float  # max|g| of the reference
    error: float = np.nan  # the largest |candidate - reference| of any element
    allowed: float = 0.0
    index: tuple[int, ...] = ()  # of that element
    yours: float = np.nan  # there
    autograd: float = np.nan  # there
    problem: str | None = None

    @property
    def passed(self) -> bool:
        """Whether there is a value and it is within what is allowed."""
        return self.problem is None and self.error <= self.allowed

    @property
    def vacuous(self) -> bool:
        """Whether a gradient of zeros would have passed too, so that passing proves nothing."""
        return self.allowed >= self.largest

    @property
    def severity(self) -> float:
        """The error as a multiple of what is allowed: over 1 fails. Infinite where there is no value to compare."""
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

    def __str__(self) -> str:
        if self.problem:
            return f"{self.label}: {self.problem}"
        where = f"[{', '.join(map(str, self.index))}]" if self.index else ""
        digits = np.dtype(self.precision.name).type  # each digit that the format has, and no more
        values = f"yours {digits(self.yours)!s}, autograd {digits(self.autograd)!s}"
        return f"{self.label}{where}: {values}, off by {self.error:.4g} (allowed {self.allowed:.2g})"


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


@dataclass
class Tally:
    """Of one line over many cases: how often it failed, how often it proved nothing, and the worst case."""

    worst: Line
    failed: int = 0
    vacuous: int = 0

    def add(self, line: Line) -> None:
        """Count one more case. A vacuous one is the worst only where all are; of the others, the nearest to failing."""
        self.failed += not line.passed
        self.vacuous += line.vacuous
        badness = [(not of.passed, not of.vacuous, of.severity) for of in (self.worst, line)]
        self.worst = line if badness[1] > badness[0] else self.worst


@dataclass
class Summary:
    """The cases of one kind: how many, how many failed, a tally of each line, and the smallest case that fails.

    breaches are failures of the contract, breach the first of them: no lines came of those. outcomes has the sizes of
    every case, and whether it passed.
    """

    cases: int = 0
    failed: int = 0
    breaches: int = 0
    breach: Comparison | None = None
    tallies: dict[str, Tally] = field(default_factory=dict)
    failure: Comparison | None = None
    outcomes: list[tuple[dict[str, int], bool]] = field(default_factory=list)

    def add(self, comparison: Comparison) -> None:
        """Count one more case."""
        self.cases += 1
        self.breaches += comparison.breach is not None
        self.breach = self.breach or (comparison if comparison.breach is not None else None)
        self.outcomes.append((comparison.case.sizes, comparison.passed))
        for name, line in comparison.lines.items():
            self.tallies.setdefault(name, Tally(line)).add(line)
        if not comparison.passed:
            self.failed += 1
            smaller = self.failure is None or comparison.case.size < self.failure.case.size
            self.failure = comparison if smaller else self.failure

    def unproved(self) -> list[str]:
        """A note on each line of which more than half of the cases prove nothing."""
        few = [(tally.worst.label, tally.vacuous) for tally in self.tallies.values() if 2 * tally.vacuous > self.cases]
        why = "rounding, or a kink, moves autograd's own by as much as it is large"
        return [f"is hardly tested for {label}: in {count} of {self.cases} cases {why}" for label, count in few]


@dataclass(frozen=True)
class Finding:
    """One explanation. kind: form, factor, loss, mistake, precision, chain or condition. tensors: those it explains."""

    kind: str
    name: str
    tensors: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Description:
    """What a report says of its reference; words are the command line's for it."""

    title: str
    model: str
    loss: str | None
    words: tuple[str, ...] = ()


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


@dataclass
class Outcome:
    """One candidate, in one precision.

    settings are the options of the check. findings are the diagnosis, evidence the cases it was made from, notes what
    the user should know besides. nearer says, where there is a truth, who is nearer to it. noise is autograd's own, in
    u max|g|, on the first case; seconds are those of one call, and of autograd.
    """

    name: str
    reference: Description
    settings: dict[str, Any]
    ordinary: Summary = field(default_factory=Summary)
    saturated: Summary = field(default_factory=Summary)
    findings: list[Finding] = field(default_factory=list)
    evidence: list[Comparison] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    nearer: list[str] = field(default_factory=list)
    noise: dict[str, float] = field(default_factory=dict)
    seconds: tuple[float, float] | None = None
    interrupted: bool = False

    @property
    def passed(self) -> bool:
        """Whether every case was judged and none that counts has failed."""
        return self.failure is None and not self.interrupted

    @property
    def failure(self) -> Comparison | None:
        """The smallest case that fails and counts."""
        return self.ordinary.failure or (self.saturated.failure if self.settings["strict"] else None)
