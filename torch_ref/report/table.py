"""The table of a document, cell by cell: one candidate with all its numbers, or several side by side."""

from torch_ref.outcome import Outcome, Status, Summary, Tally
from torch_ref.report.document import Document
from torch_ref.results import Line

HEADER = ("dtype", "cases", "tensor", "worst error", "in u max|g|", "allowed", "vacuous", "verdict")


def table(document: Document) -> list[list[str]]:
    """The header, then one line a dtype, kind of case and result or gradient: the case nearest to failing."""
    if len(document.names) > 1:
        return _side_by_side(document.outcomes)
    lines = [list(HEADER), *(row for outcome in document.outcomes for row in _rows(outcome))]
    for outcome in document.outcomes:
        if outcome.seconds:
            yours, autograd = map(_microseconds, outcome.seconds)
            lines.append(["", "", "time", yours, "", "", "", f"autograd {autograd}"])
    return lines


def _rows(outcome: Outcome) -> list[list[str]]:
    found: list[list[str]] = []
    for kind, summary in (("ordinary", outcome.ordinary), ("saturated", outcome.saturated)):
        first = [outcome.settings["dtype"], f"{summary.cases} {kind}"]
        uncounted = "" if kind == "ordinary" or outcome.settings["strict"] else " (does not count)"
        if summary.breaches:
            decides = outcome.ended is not None and outcome.ended.case.saturated == (kind == "saturated")
            broken = f"{summary.breaches} of {summary.cases} break the contract{'' if decides else uncounted}"
            found.append([*first, "(all)", "", "", "", "", broken])
        if uncounted and summary.failed > summary.breaches:  # not to alarm: torch's own formula is not the only one
            other = f"{summary.failed - summary.breaches} of {summary.cases} differ where torch clamps{uncounted}"
            found.append([*first, "(all)", "", "", "", "", other])
            continue
        found += [[*first, *_line(tally, _verdict(summary, name))] for name, tally in summary.tallies.items()]
    for title, summary in outcome.asides.items():
        first = [outcome.settings["dtype"], f"{summary.cases} {title}"]
        if summary.breaches:
            found.append([*first, "(all)", "", "", "", "", f"{summary.breaches} of {summary.cases} break the contract"])
        wrong = {name: tally for name, tally in summary.tallies.items() if tally.failed}
        found += [[*first, *_line(tally, _verdict(summary, name))] for name, tally in wrong.items()]
        if not summary.failed:
            found.append([*first, "(all)", "", "", "", "", Status.MATCH])
    return found


def _line(tally: Tally, verdict: str) -> list[str]:
    return [tally.worst.label, *_size(tally.worst), str(tally.vacuous), verdict]


def _verdict(summary: Summary, name: str) -> str:
    """The status of a line, with how many cases differ."""
    status = summary.status(name)
    return f"{summary.tallies[name].failed} of {summary.cases} differ" if status is Status.DIFFER else status.value


def _size(worst: Line) -> tuple[str, str, str]:
    if worst.problem:
        return _what_came(worst.problem), "", ""
    return f"{worst.error:.1e}", _in_units(worst), f"{worst.allowed:.1e}"


def _what_came(problem: str) -> str:
    """Without what was expected: the smallest case says that."""
    return problem.partition(", expected")[0]


def _in_units(line: Line) -> str:
    """The error in u max|g|, short."""
    return f"{line.units:.1f}" if line.units < 1e4 else f"{line.units:.1e}"


def _side_by_side(outcomes: list[Outcome]) -> list[list[str]]:
    """A column for each candidate, and autograd's own rounding noise in the last."""
    lines = [["cases", "tensor", *(outcome.name for outcome in outcomes), "autograd"]]
    for kind in ("ordinary", "saturated"):
        summaries: list[Summary] = [getattr(outcome, kind) for outcome in outcomes]
        cases = kind if kind == "ordinary" or outcomes[0].settings["strict"] else f"{kind} (does not count)"
        if any(summary.breaches for summary in summaries):
            cells = (f"{s.breaches} of {s.cases} break the contract" if s.breaches else "" for s in summaries)
            lines.append([cases, "(all)", *cells, ""])
        labels = {name: tally.worst.label for summary in summaries for name, tally in summary.tallies.items()}
        for name, label in labels.items():
            own = f"± {outcomes[0].noise[name]:.1f} u max|g|" if kind == "ordinary" and outcomes[0].noise else ""
            lines.append([cases, label, *(_beside(summary, name) for summary in summaries), own])
    times = [outcome.seconds for outcome in outcomes if outcome.seconds]
    if len(times) == len(outcomes):
        autograd = min(autograd for _, autograd in times)
        lines.append(["", "time", *(_microseconds(yours) for yours, _ in times), _microseconds(autograd)])
    return lines


def _beside(summary: Summary, name: str) -> str:
    tally = summary.tallies.get(name)
    if tally is None:
        return ""
    worst = tally.worst
    size = _what_came(worst.problem) if worst.problem else f"{_in_units(worst)} u max|g|"
    return f"{_verdict(summary, name)}, {size}"


def _microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:.1f} µs a call"
