"""A document as text, for a person at a terminal."""

from torch_ref.outcome import Outcome
from torch_ref.report.columns import in_columns
from torch_ref.report.document import Document, command_of, diagnosed_in
from torch_ref.report.picture import grids, picture
from torch_ref.report.table import tables
from torch_ref.results import Lockstep


def text(document: Document) -> str:
    """The versions, the table, why each candidate fails and how to see it again, the training run, the verdict."""
    versions = ", ".join(f"{name} {number}" for name, number in document.versions.items())
    parts = [versions, document.title, *_tables(document)]
    for outcome in document.outcomes:
        parts += explanation(outcome)
        if outcome.failure is not None:
            parts += ["", f"To see it again: {command_of(outcome)}"]
        if outcome.interrupted:
            count = outcome.ordinary.cases + outcome.saturated.cases
            where = f", in {outcome.last}" if outcome.last else ""
            parts += ["", f"{outcome.name}: interrupted after {count} {'case' if count == 1 else 'cases'}{where}"]
    if document.lockstep:
        parts += ["", *lockstep_lines(document.lockstep_title, document.lockstep)]
    verdict = "PASS" if document.passed else "INTERRUPTED" if document.interrupted else "FAIL"
    return "\n".join([*parts, "", verdict])


def report_text(document: Document) -> str:
    """The table and why each candidate fails, without what only the command has to say."""
    lines = [line for outcome in document.outcomes for line in explanation(outcome)]
    return "\n".join([document.title, *_tables(document), *lines])


def explanation(outcome: Outcome) -> list[str]:
    """Why it fails, in lines: the diagnosis, the smallest case, and a picture of each gradient that is wrong."""
    lines = [line for note in outcome.notes for line in ("", f"{outcome.name} {note}")]
    if outcome.failure is None:
        return lines
    if outcome.findings:
        findings = (f"- {finding.text}" for finding in outcome.findings)
        where = f", as {dtype} shows it" if (dtype := diagnosed_in(outcome)) else ""
        lines += ["", f"What is wrong with {outcome.name}{where}", *_indented(*findings)]
    heading = "The case it does not come back from" if outcome.ended else "The smallest case that fails"
    lines += ["", heading, *_indented(str(outcome.failure), *outcome.nearer)]
    if (breach := outcome.ordinary.breach) and outcome.failure.breach is None:
        lines += ["", "It breaks the contract too, for example", *_indented(str(breach))]
    if wrong := grids(outcome):
        lines += ["", f"Right (.) and wrong (#) elements  {wrong[0].case}", *_indented(*map(picture, wrong))]
    return lines


def lockstep_lines(title: str, run: Lockstep) -> list[str]:
    """How far the training run in NumPy and the one in torch came apart."""
    return [
        f"{title}, {run.steps} steps in NumPy and in torch:",
        f"at most {run.loss:.1e} apart in the loss, {run.parameters:.1e} in a parameter (allowed {run.allowed:.1e})",
    ]


def _tables(document: Document) -> list[str]:
    return [line for table in tables(document) for line in ("", in_columns(table))]


def _indented(*texts: str) -> list[str]:
    return [f"  {line}" for text in texts for line in text.splitlines()]
