"""What was found of one line, a result or a gradient, over many cases, as data."""

from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite
from statistics import median

from torch_ref.results import Line


class Status(StrEnum):
    """What is known of a result or a gradient after many cases.

    zero: the reference's own is 0, exactly or within its noise, in every case. untested: no case proves anything of it.
    """

    MATCH = "match"
    DIFFER = "differ"
    ZERO = "zero"
    UNTESTED = "untested"


@dataclass
class Tally:
    """Of one line over many cases: how many, how often it failed, proved nothing or was zero, and the worst case.

    lines has it in every case, in the order in which they were judged.
    """

    worst: Line
    cases: int = 0
    failed: int = 0
    vacuous: int = 0
    zero: int = 0
    own_format: int = 0
    lines: list[Line] = field(default_factory=list)

    def add(self, line: Line) -> None:
        """Count one more case. A vacuous one is the worst only where all are; of the others, the nearest to failing."""
        self.cases += 1
        self.lines.append(line)
        self.failed += not line.passed
        self.vacuous += line.vacuous
        self.zero += line.zero
        self.own_format += line.own_format
        badness = [(not of.passed, not of.vacuous, of.severity) for of in (self.worst, line)]
        self.worst = line if badness[1] > badness[0] else self.worst

    @property
    def typical(self) -> float:
        """The median error of the cases that prove something, or of all if none does, in units of u max|g|."""
        return median(line.units for line in self._telling)

    @property
    def largest(self) -> Line:
        """The line with the largest error in units of u max|g|: of the wrong ones, or of those that prove something."""
        wrong = [line for line in self.lines if not line.passed]
        return max(wrong or self._telling, key=lambda line: (isfinite(line.units), line.units))

    @property
    def _telling(self) -> list[Line]:
        return [line for line in self.lines if not line.vacuous] or self.lines

    @property
    def status(self) -> Status:
        """What is known of it."""
        if self.failed:
            return Status.DIFFER
        if self.vacuous < self.cases:
            return Status.MATCH
        return Status.ZERO if self.zero == self.cases else Status.UNTESTED
