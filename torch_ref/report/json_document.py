"""A document as JSON, for programs: torch_ref/README.md says what is in it. Keys are added, never renamed."""

import json
import math
import re
from dataclasses import asdict
from typing import Any

from torch_ref.outcome import Outcome, Summary
from torch_ref.report.document import Document, command_of, diagnosed_in
from torch_ref.report.picture import grids
from torch_ref.results import Line
from torch_ref.tally import Status, Tally

NUMBERS = re.compile(r"\[\n[^\[\]{}\"]*\]")  # a list without texts or lists in it: no text has a line break


def as_json(document: Document) -> str:
    """The whole document. A number that is not finite becomes null."""
    reference, run = document.reference, document.lockstep
    timed = [outcome.seconds[1] for outcome in document.outcomes if outcome.seconds]
    found = {
        "reference": {
            **document.versions,
            "model": reference.model,
            "loss": reference.loss,
            "seconds_per_call": timed[0] if timed else None,
        },
        "settings": document.settings,
        "candidates": [_candidate(outcome) for outcome in document.outcomes],
        "verdict": _verdict(passed=document.passed),
        "interrupted": document.interrupted,
        "command": document.command,
        "lockstep": run and {"verdict": _verdict(passed=run.passed), "title": document.lockstep_title, **asdict(run)},
    }
    text = json.dumps(_finite(found), indent=2, allow_nan=False, ensure_ascii=False)
    return NUMBERS.sub(lambda numbers: " ".join(numbers[0].split()), text)


def _verdict(*, passed: bool) -> str:
    return "pass" if passed else "fail"


def _candidate(outcome: Outcome) -> dict[str, Any]:
    failure = outcome.failure
    return {
        "name": outcome.name,
        "dtype": outcome.settings["dtype"],
        "verdict": _verdict(passed=outcome.passed),
        "interrupted": outcome.interrupted,
        "ordinary": _summary(outcome.ordinary),
        "saturated": _summary(outcome.saturated),
        "failure": failure
        and {
            "message": str(failure),
            "case": {"seed": failure.case.seed, **failure.case.sizes, "dtype": str(failure.case.precision)},
            "reproduce": command_of(outcome),
        },
        "diagnosis": [asdict(finding) for finding in outcome.findings],
        "diagnosed_in": diagnosed_in(outcome),
        "notes": outcome.notes,
        "seconds_per_call": outcome.seconds and outcome.seconds[0],
        "asides": {title: _summary(summary) for title, summary in outcome.asides.items()},
        "place": outcome.place and outcome.place._asdict(),
        "grids": [asdict(grid) for grid in grids(outcome)],
        "accuracy": [asdict(accuracy) for accuracy in outcome.accuracy],
        "times": [asdict(timing) for timing in outcome.times],
    }


def _summary(summary: Summary) -> dict[str, Any]:
    return {
        "cases": summary.cases,
        "failed": summary.failed,
        "vacuous": sum(tally.vacuous for tally in summary.tallies.values()),
        "tensors": {
            name: {
                "verdict": _verdict(passed=summary.status(name) not in (Status.DIFFER, Status.UNTESTED)),
                "failed": tally.failed,
                **_worst(tally.worst),
                "status": summary.status(name),
                "roundings": _roundings(tally),
            }
            for name, tally in summary.tallies.items()
        },
    }


def _worst(worst: Line) -> dict[str, Any]:
    return {
        "worst_error": worst.error,
        "allowed": worst.allowed,
        "worst_relative": worst.relative,
        "problem": worst.problem,
    }


def _roundings(tally: Tally) -> dict[str, Any]:
    """Errors in units of u max|g|."""
    return {
        "typical": tally.typical,
        "largest": tally.largest.units,
        "largest_allowed": tally.largest.limit,
        "errors": [line.units for line in tally.lines],
        "limits": [line.limit for line in tally.lines],
    }


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
