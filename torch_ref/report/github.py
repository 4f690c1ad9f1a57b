"""A document for the log of a job in GitHub Actions, which shows what is wrong beside the candidate's function, too."""

import os
from pathlib import Path

from torch_ref.outcome import Outcome
from torch_ref.report.document import Document, command_of
from torch_ref.report.text import lockstep_lines, text


def github(document: Document) -> str:
    """An annotation for each candidate that fails, and for the training run if that does; then all as text."""
    annotations = [_annotation(outcome) for outcome in document.outcomes if not outcome.passed]
    if document.lockstep and not document.lockstep.passed:
        annotations.append(_command("gradgate", lockstep_lines(document.lockstep_title, document.lockstep)))
    return "\n".join([*annotations, text(document)])


def _annotation(outcome: Outcome) -> str:
    place = {"file": _in_repository(outcome.place.file), "line": str(outcome.place.line)} if outcome.place else {}
    return _command(f"gradgate: {outcome.name}, {outcome.settings['dtype']}", _why(outcome), **place)


def _why(outcome: Outcome) -> list[str]:
    if outcome.failure:
        findings = [finding.text for finding in outcome.findings]
        return [*findings, str(outcome.failure), f"To see it again: {command_of(outcome)}"]
    if outcome.interrupted:
        return ["interrupted"]
    return [f"no case proves anything of {', '.join(outcome.ordinary.untested)}"]


def _in_repository(file: str) -> str:
    """Its path from the top of the repository, by which the runner knows it; as it is if it is not in there."""
    top = Path(os.environ.get("GITHUB_WORKSPACE", "")).resolve()
    path = Path(file).resolve()
    return (path.relative_to(top) if path.is_relative_to(top) else path).as_posix()


def _command(title: str, lines: list[str], **place: str) -> str:
    """The runner's command for an error, a line of which ends at %0A."""
    properties = ",".join(f"{name}={_escaped(value, ':,')}" for name, value in (place | {"title": title}).items())
    return f"::error {properties}::{_escaped(chr(10).join(lines))}"


def _escaped(text: str, more: str = "") -> str:
    for character in f"%\r\n{more}":  # the percent sign first
        text = text.replace(character, f"%{ord(character):02X}")
    return text
