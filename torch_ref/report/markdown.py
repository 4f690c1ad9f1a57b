"""A document as Markdown, for the summary of a CI job."""

from torch_ref.report.document import Document, command_of
from torch_ref.report.table import table
from torch_ref.report.text import explanation, lockstep_lines


def markdown(document: Document) -> str:
    """The verdict, the table, why each candidate fails in a block of its own, and the training run."""
    header, *lines = table(document)
    rows = header, ["---"] * len(header), *lines
    parts = [f"### gradgate: {'pass' if document.passed else 'FAIL'}", "", document.title, ""]
    parts += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    for outcome in document.outcomes:
        if explained := explanation(outcome):
            block = ["```text", *explained[1:], "```"]
            parts += ["", f"**{outcome.name}**", "", *block, "", f"`{command_of(outcome)}`"]
        if outcome.interrupted:
            parts += ["", f"**{outcome.name}**: interrupted after {outcome.ordinary.cases} ordinary cases"]
    if document.lockstep:
        parts += ["", " ".join(lockstep_lines(document.lockstep_title, document.lockstep))]
    return "\n".join(parts)
