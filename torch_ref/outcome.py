"""What was found in many cases, as data: of one kind of case, of one candidate."""

from dataclasses import dataclass, field
from typing import Any

from torch_ref.cases.case import Case
from torch_ref.results import Accuracy, Comparison, Description, Finding, Place, Timing
from torch_ref.tally import Status, Tally

KEPT = 10_000  # elements, at most, of a case that is kept to be run again


@dataclass
class Summary:
    """The cases of one kind: how many, how many failed, a tally of each line, and the smallest case that fails.

    breaches are failures of the contract, breach the first of them: no lines came of those. outcomes has the sizes of
    every case, and whether it passed; right is the first small case that did. results and gradients are the
    names of what the reference gives.
    """

    cases: int = 0
    failed: int = 0
    breaches: int = 0
    breach: Comparison | None = None
    tallies: dict[str, Tally] = field(default_factory=dict)
    failure: Comparison | None = None
    outcomes: list[tuple[dict[str, int], bool]] = field(default_factory=list)
    right: Case | None = None
    results: tuple[str, ...] = ()
    gradients: tuple[str, ...] = ()

    def add(self, comparison: Comparison) -> None:
        """Count one more case."""
        self.cases += 1
        self.gradients = comparison.case.differentiated
        if comparison.breach is None:
            asked = filter(comparison.case.asks, comparison.autograd)
            self.results = tuple(name for name in asked if name not in self.gradients)
        self.breaches += comparison.breach is not None
        self.breach = self.breach or (comparison if comparison.breach is not None else None)
        self.outcomes.append((comparison.case.sizes, comparison.passed))
        if comparison.passed and comparison.case.size <= KEPT:
            self.right = self.right or comparison.case
        for name, line in comparison.lines.items():
            self.tallies.setdefault(name, Tally(line)).add(line)
        if not comparison.passed:
            self.failed += 1
            smaller = self.failure is None or comparison.case.size < self.failure.case.size
            self.failure = comparison if smaller else self.failure

    @property
    def wrong(self) -> list[str]:
        """The names of what differs in a case."""
        return [name for name, tally in self.tallies.items() if tally.failed]

    def status(self, name: str) -> Status:
        """What is known of a line. Where every gradient is zero, none is tested."""
        status = self.tallies[name].status
        every = all(self.tallies[other].status is Status.ZERO for other in self.gradients if other in self.tallies)
        return Status.UNTESTED if every and name in self.gradients else status

    @property
    def untested(self) -> list[str]:
        """How the lines are called of which no case proves anything."""
        return [tally.worst.label for name, tally in self.tallies.items() if self.status(name) is Status.UNTESTED]

    @property
    def notes(self) -> list[str]:
        """A note on each line that is zero or untested, or of which more than half of the cases prove nothing."""
        notes = []
        if absent := [name for name in self.results if name not in self.tallies]:
            notes.append(f"returns no {' and '.join(absent)}: the gradients alone are judged")
        why = "rounding, or a kink, moves autograd's own by as much as it is large"
        for name, tally in self.tallies.items():
            label, status = tally.worst.label, self.status(name)
            if tally.own_format:
                many = f"{tally.own_format} of {self.cases} cases"
                notes.append(
                    f"is allowed in {many} for {label} what autograd in {tally.worst.precision} is off autograd in "
                    "float64: more than rounding explains"
                )
            if status is Status.ZERO:
                notes.append(
                    f"has nothing to get wrong in {label}: autograd's own is 0, or rounding alone, in every case"
                )
            elif status is Status.UNTESTED:
                notes.append(f"is not tested for {label}: no case proves anything, since {why}")
            elif 2 * tally.vacuous > self.cases and not tally.failed:
                notes.append(f"is hardly tested for {label}: in {tally.vacuous} of {self.cases} cases {why}")
        return notes


@dataclass
class Outcome:
    """One candidate, in one precision.

    settings are the options of the check. asides are cases counted apart, by what is special about them. findings
    are the diagnosis, evidence the cases it was made from, notes what the user should know besides. nearer says, where
    there is a truth, who is nearer to it. noise is autograd's own, in u max|g|, on the first case, to stand beside
    several candidates. times are those of calls, and accuracy is that of each line where there is a truth, if they are
    asked for. place is where the candidate is written. last is the case judged last, ended the one in which the
    candidate's process ended, if it did: a failure, whatever kind of case it is.
    """

    name: str
    reference: Description
    settings: dict[str, Any]
    ordinary: Summary = field(default_factory=Summary)
    saturated: Summary = field(default_factory=Summary)
    asides: dict[str, Summary] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    evidence: list[Comparison] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    nearer: list[str] = field(default_factory=list)
    noise: dict[str, float] = field(default_factory=dict)
    times: list[Timing] = field(default_factory=list)
    accuracy: list[Accuracy] = field(default_factory=list)
    place: Place | None = None
    interrupted: bool = False
    last: Case | None = None
    ended: Comparison | None = None

    @property
    def passed(self) -> bool:
        """Whether every case was judged, none that counts has failed, and every gradient is tested."""
        return self.failure is None and not self.interrupted and not self.ordinary.untested

    @property
    def failure(self) -> Comparison | None:
        """The smallest case that fails and counts."""
        if self.ended:
            return self.ended
        counted = [self.ordinary, *self.asides.values(), *([self.saturated] if self.settings["strict"] else [])]
        return next((summary.failure for summary in counted if summary.failure), None)

    @property
    def seconds(self) -> tuple[float, float] | None:
        """Of a call of the candidate, and of autograd, at the first size; None if calls were not timed."""
        return (self.times[0].candidate, self.times[0].autograd) if self.times else None

    def end(self, comparison: Comparison) -> None:
        """Count the case in which the candidate's process ended."""
        self.ended = comparison
        (self.saturated if comparison.case.saturated else self.ordinary).add(comparison)
