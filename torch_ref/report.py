"""What a check found, and the text that says so."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from torch_ref.cases import label
from torch_ref.comparison import Comparison, Tensor
from torch_ref.explanation import Finding
from torch_ref.reference import Reference

PICTURE = 16, 32  # the most rows and columns of one


@dataclass
class Tally:
    """Of one tensor over many cases: how often it failed, how often it proved nothing, and the worst case."""

    worst: Tensor
    failed: int = 0
    vacuous: int = 0


@dataclass
class Summary:
    """The cases of one kind: how many, how many failed, each tensor, and the smallest case that fails.

    breaches are failures of the contract, breach the first of them: no tensors came of those. outcomes has the sizes of
    every case, and whether it passed.
    """

    cases: int = 0
    failed: int = 0
    breaches: int = 0
    breach: Comparison | None = None
    tensors: dict[str, Tally] = field(default_factory=dict)
    failure: Comparison | None = None
    outcomes: list[tuple[dict[str, int], bool]] = field(default_factory=list)

    def add(self, comparison: Comparison) -> None:
        """Count one more case."""
        self.cases += 1
        self.breaches += comparison.breach is not None
        self.breach = self.breach or (comparison if comparison.breach is not None else None)
        self.outcomes.append((comparison.case.sizes, comparison.passed))
        for name, tensor in comparison.tensors.items():
            tally = self.tensors.setdefault(name, Tally(tensor))
            tally.failed += not tensor.passed
            tally.vacuous += tensor.vacuous
            tally.worst = max(tally.worst, tensor, key=_badness)
        if not comparison.passed:
            self.failed += 1
            smaller = self.failure is None or comparison.case.inputs.size < self.failure.case.inputs.size
            self.failure = comparison if smaller else self.failure

    def unproved(self) -> list[str]:
        """A note on each tensor of which more than half of the cases prove nothing."""
        few = [(label(name), tally.vacuous) for name, tally in self.tensors.items() if 2 * tally.vacuous > self.cases]
        why = "rounding, or a kink, moves autograd's own by as much as it is large"
        return [f"is hardly tested for {name}: in {count} of {self.cases} cases {why}" for name, count in few]


def _badness(tensor: Tensor) -> tuple[bool, bool, float]:
    """A vacuous case is the worst only where all are; among the others, the one nearest to failing."""
    return not tensor.passed, not tensor.vacuous, tensor.severity


@dataclass
class Report:
    """One candidate, in one dtype. As a string: the table, then why it fails, if it does.

    settings are the options of the check. findings are the diagnosis, evidence the cases it was made from, notes what
    the user should know besides. nearer says, in float32, who is nearer the float64 result. noise is autograd's own, in
    u max|g|, on the first case; seconds are those of one call, and of autograd.
    """

    name: str
    reference: Reference
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

    def __str__(self) -> str:
        parts = [f"{self.name} against autograd of {self.reference}\n", table([self]), *self.explanation()]
        return "\n".join(parts)

    def explanation(self) -> list[str]:
        """Why it fails, in lines: the diagnosis, the smallest case, and a picture of each tensor that is wrong."""
        lines = [line for note in self.notes for line in ("", f"{self.name} {note}")]
        if self.failure is None:
            return lines
        if self.findings:
            lines += [
                "",
                f"What is wrong with {self.name}",
                *_indented(*(f"- {finding.text}" for finding in self.findings)),
            ]
        lines += ["", "The smallest case that fails", *_indented(str(self.failure), *self.nearer)]
        if (breach := self.ordinary.breach) and self.failure.breach is None:
            lines += ["", "It breaks the contract too, for example", *_indented(str(breach))]
        wrong = next((comparison for comparison in self.evidence if not comparison.passed), None)
        if wrong and (pictures := [drawn for name in wrong.tensors if (drawn := picture(wrong, name))]):
            lines += ["", f"Right (.) and wrong (#) elements  {wrong.case}", *_indented(*pictures)]
        return lines


def picture(comparison: Comparison, name: str) -> str:
    """A grid of the right and wrong elements of a gradient, a cell for several if it is large; "" if all right.

    The rows are the first axis.
    """
    tensor, yours, right = comparison.tensors[name], comparison.yours.get(name), comparison.autograd[name]
    if tensor.passed or tensor.problem or yours is None or right.ndim == 0:
        return ""
    wrong = (np.abs(yours.astype(float) - right.astype(float)) > tensor.allowed).reshape(len(right), -1)
    down, across = (-(-size // most) for size, most in zip(wrong.shape, PICTURE, strict=True))
    lines = [label(name) if down == across == 1 else f"{label(name)}, {down} × {across} elements a cell"]
    for top in range(0, wrong.shape[0], down):
        cells = (wrong[top : top + down, left : left + across].any() for left in range(0, wrong.shape[1], across))
        lines.append("  " + "".join("#" if cell else "." for cell in cells))
    return "\n".join(lines)


def _indented(*texts: str) -> list[str]:
    return [f"  {line}" for text in texts for line in text.splitlines()]


HEADER = ("dtype", "cases", "tensor", "worst error", "in u max|g|", "allowed", "vacuous", "verdict")


def table(reports: Iterable[Report]) -> str:
    """One line a dtype, kind of case and tensor: the error that is nearest to what is allowed, or furthest over it."""
    return aligned([HEADER, *(row for report in reports for row in rows(report))])


def rows(report: Report) -> list[tuple[str, ...]]:
    """The lines of `table` for one report, cell by cell."""
    found: list[tuple[str, ...]] = []
    for kind, summary in (("ordinary", report.ordinary), ("saturated", report.saturated)):
        first = (report.settings["dtype"], f"{summary.cases} {kind}")
        uncounted = "" if kind == "ordinary" or report.settings["strict"] else " (does not count)"
        if summary.breaches:
            broken = f"{summary.breaches} of {summary.cases} break the contract{uncounted}"
            found.append((*first, "(all)", "", "", "", "", broken))
        for name, tally in summary.tensors.items():
            verdict = f"{tally.failed} of {summary.cases} differ{uncounted}" if tally.failed else "match"
            found.append((*first, label(name), *_size(tally.worst), str(tally.vacuous), verdict))
    return found


def _size(worst: Tensor) -> tuple[str, str, str]:
    if worst.problem:
        return worst.problem.partition(", expected")[0], "", ""  # what came; the smallest case says what was expected
    return f"{worst.error:.1e}", in_units(worst), f"{worst.allowed:.1e}"


def in_units(tensor: Tensor) -> str:
    """The error in u max|g|, short."""
    return f"{tensor.units:.1f}" if tensor.units < 1e4 else f"{tensor.units:.1e}"


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """The cells in columns, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = ([cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines)
    return "\n".join("  ".join(cells).rstrip() for cells in padded)
