"""Reports for a person, a job summary and a program: text, Markdown and JSON, of one candidate or several."""

import json
import math
import platform
import shlex
from importlib.metadata import version
from typing import Any

from torch_ref.cases import label
from torch_ref.comparison import Tensor
from torch_ref.report import HEADER, Report, Summary, aligned, in_units, rows

# Of the command's options, and of `check`.
DEFAULTS = {
    "cases": 100,
    "seed": 0,
    "dtype": "float64",
    "activation": "sigmoid",
    "loss": "bce",
    "reduction": "mean",
    "inputs": (1, 5),
    "hidden": (1, 8),
    "outputs": (1, 1),
}


def versions() -> dict[str, str]:
    """Of everything that a result depends on."""
    return {
        "gradgate": version("gradgate"),
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "torch", "hypothesis")},
    }


def text(reports: list[Report]) -> str:
    """The table, side by side for several candidates, then why each fails."""
    parts = [_title(reports), "", aligned(_table(reports))]
    for report in reports:
        parts += report.explanation()
        if report.failure is not None:
            parts += ["", f"To see it again: {reproduce(report)}"]
        if report.interrupted:
            parts += ["", f"{report.name}: interrupted after {report.ordinary.cases + report.saturated.cases} cases"]
    return "\n".join(parts)


def markdown(reports: list[Report]) -> str:
    """The same for a job summary: the table, and why each fails in a block of its own."""
    header, *lines = _table(reports)
    table = [header, ["---"] * len(header), *lines]
    parts = [f"### gradgate: {'pass' if all(r.passed for r in reports) else 'FAIL'}", "", _title(reports), ""]
    parts += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in table]
    for report in reports:
        if explanation := report.explanation():
            parts += ["", f"**{report.name}**", "", "```text", *explanation[1:], "```", "", f"`{reproduce(report)}`"]
    return "\n".join(parts)


def as_json(reports: list[Report]) -> str:
    """The interface for programs; the README says what is in it. A number that is not finite becomes null."""
    seconds = next((report.seconds[1] for report in reports if report.seconds), None)
    reference = reports[0].reference
    shared = {name: value for name, value in reports[0].settings.items() if name != "dtype"}
    document = {
        "reference": {
            **versions(),
            "model": reference.model_name,
            "loss": reference.loss_name,
            "seconds_per_call": seconds,
        },
        "settings": {**shared, "dtype": sorted({report.settings["dtype"] for report in reports})},
        "candidates": [_candidate(report) for report in reports],
    }
    return json.dumps(_finite(document), indent=2, allow_nan=False, ensure_ascii=False)


def reproduce(report: Report) -> str:
    """The command that makes this report again."""
    settings = report.settings
    words = ["gradgate", shlex.quote(report.name)]
    if report.reference.name:
        words += ["--reference", shlex.quote(report.reference.name)]
    if report.reference.name or settings["batch"][1] != 64:
        words += ["--max-batch", str(settings["batch"][1])]
    for option, default in DEFAULTS.items():
        value = settings.get(option, default)
        if value != default:
            words += [f"--{option}", "..".join(map(str, value)) if isinstance(value, tuple) else str(value)]
    return " ".join(words + ["--strict"] * settings["strict"])


def _title(reports: list[Report]) -> str:
    of = reports[0].name if len({report.name for report in reports}) == 1 else f"{len(reports)} candidates"
    return f"{of} against autograd of {reports[0].reference}"


def _table(reports: list[Report]) -> list[list[str]]:
    """One candidate: `report.table`. Several: a column each, and autograd's own rounding noise in the last."""
    if len({report.name for report in reports}) == 1:
        lines = [list(HEADER), *(list(row) for report in reports for row in rows(report))]
        times = [report.seconds for report in reports if report.seconds]
        for yours, autograd in times:
            lines.append(["", "", "time", _microseconds(yours), "", "", "", f"autograd {_microseconds(autograd)}"])
        return lines
    lines = [["cases", "tensor", *(report.name for report in reports), "autograd"]]
    for kind in ("ordinary", "saturated"):
        summaries: list[Summary] = [getattr(report, kind) for report in reports]
        cases = kind if kind == "ordinary" or reports[0].settings["strict"] else f"{kind} (does not count)"
        if any(summary.breaches for summary in summaries):
            cells = (f"{s.breaches} of {s.cases} break the contract" if s.breaches else "" for s in summaries)
            lines.append([cases, "(all)", *cells, ""])
        for name in dict.fromkeys(name for summary in summaries for name in summary.tensors):
            own = f"± {reports[0].noise[name]:.1f} u max|g|" if kind == "ordinary" and reports[0].noise else ""
            lines.append([cases, label(name), *(_beside(summary, name) for summary in summaries), own])
    if all(report.seconds for report in reports):
        times = [report.seconds for report in reports if report.seconds]
        autograd = min(autograd for _, autograd in times)
        lines.append(["", "time", *(_microseconds(yours) for yours, _ in times), _microseconds(autograd)])
    return lines


def _microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:.1f} µs a call"


def _beside(summary: Summary, name: str) -> str:
    tally = summary.tensors.get(name)
    if tally is None:
        return ""
    size = (
        tally.worst.problem.partition(", expected")[0] if tally.worst.problem else f"{in_units(tally.worst)} u max|g|"
    )
    return f"{tally.failed} of {summary.cases} differ, {size}" if tally.failed else f"match, {size}"


def _candidate(report: Report) -> dict[str, Any]:
    failure = report.failure
    return {
        "name": report.name,
        "dtype": report.settings["dtype"],
        "verdict": "pass" if report.passed else "fail",
        "interrupted": report.interrupted,
        "ordinary": _summary(report.ordinary),
        "saturated": _summary(report.saturated),
        "failure": failure
        and {
            "message": str(failure),
            "case": {"seed": failure.case.seed, **failure.case.sizes, "dtype": str(failure.case.dtype)},
            "reproduce": reproduce(report),
        },
        "diagnosis": [vars(finding) for finding in report.findings],
        "notes": report.notes,
        "seconds_per_call": report.seconds and report.seconds[0],
    }


def _summary(summary: Summary) -> dict[str, Any]:
    return {
        "cases": summary.cases,
        "failed": summary.failed,
        "vacuous": sum(tally.vacuous for tally in summary.tensors.values()),
        "tensors": {
            name: {"verdict": "fail" if tally.failed else "pass", "failed": tally.failed, **_worst(tally.worst)}
            for name, tally in summary.tensors.items()
        },
    }


def _worst(worst: Tensor) -> dict[str, Any]:
    return {
        "worst_error": worst.error,
        "allowed": worst.allowed,
        "worst_relative": worst.relative,
        "problem": worst.problem,
    }


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
