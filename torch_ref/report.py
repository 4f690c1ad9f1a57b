"""What a check found, and the table that says so."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from torch_ref.comparison import Comparison, Tensor


@dataclass
class Tally:
    """Of one tensor over many cases: how often it failed, how often it proved nothing, and the worst case."""

    worst: Tensor
    failed: int = 0
    vacuous: int = 0


@dataclass
class Summary:
    """The cases of one kind. `failure` is the smallest case seen to fail."""

    cases: int = 0
    failed: int = 0
    tensors: dict[str, Tally] = field(default_factory=dict)
    failure: Comparison | None = None

    def add(self, comparison: Comparison) -> None:
        """Count one more case."""
        self.cases += 1
        for name, tensor in comparison.tensors.items():
            tally = self.tensors.setdefault(name, Tally(tensor))
            tally.failed += not tensor.passed
            tally.vacuous += tensor.vacuous
            tally.worst = max(tally.worst, tensor, key=_badness)
        if not comparison.passed:
            self.failed += 1
            smaller = self.failure is None or comparison.case.inputs.size < self.failure.case.inputs.size
            self.failure = comparison if smaller else self.failure


@dataclass(frozen=True)
class Report:
    """One candidate, in one dtype. As a string: the table, then the smallest failing case if there is one."""

    name: str
    reference: str
    dtype: str
    ordinary: Summary
    saturated: Summary
    strict: bool

    @property
    def passed(self) -> bool:
        """Whether no case that counts has failed."""
        return self.ordinary.failed == 0 and not (self.strict and self.saturated.failed)

    def __str__(self) -> str:
        lines = [f"{self.name} against autograd of {self.reference}", "", table([self])]
        for kind, summary in (("ordinary", self.ordinary), ("saturated", self.saturated)):
            if summary.failure is not None and (kind == "ordinary" or self.strict):
                lines += ["", f"The smallest {kind} case that fails:", str(summary.failure)]
        return "\n".join(lines)


def _badness(tensor: Tensor) -> tuple[bool, bool, float]:
    """A vacuous case is the worst only where all are; among the others, the one nearest to failing."""
    return not tensor.passed, not tensor.vacuous, tensor.severity


HEADER = ("dtype", "cases", "tensor", "worst error", "in u max|g|", "allowed", "vacuous", "verdict")


def table(reports: Iterable[Report]) -> str:
    """One line a dtype, kind of case and tensor: the error that is nearest to what is allowed, or furthest over it."""
    rows: list[tuple[str, ...]] = [HEADER]
    for report in reports:
        for kind, summary in (("ordinary", report.ordinary), ("saturated", report.saturated)):
            first = (report.dtype, f"{summary.cases} {kind}")
            rows += [(*first, *_cells(name, tally, summary)) for name, tally in summary.tensors.items()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _cells(name: str, tally: Tally, summary: Summary) -> tuple[str, ...]:
    worst = tally.worst
    label = name if name == "loss" else f"dL/d{name}"
    verdict = f"{tally.failed} of {summary.cases} differ" if tally.failed else "match"
    if worst.problem:
        return label, "", "", "", str(tally.vacuous), f"{verdict}: {worst.problem}"
    units = f"{worst.units:.1f}" if worst.units < 1e4 else f"{worst.units:.1e}"
    return label, f"{worst.error:.1e}", units, f"{worst.allowed:.1e}", str(tally.vacuous), verdict
