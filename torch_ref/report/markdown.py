"""A document as Markdown, for the summary of a CI job."""

from torch_ref.report.document import Document, command_of
from torch_ref.report.table import Table, tables
from torch_ref.report.text import explanation, lockstep_lines


def markdown(document: Document) -> str:
    """The verdict, the tables, why each candidate fails in a block of its own, and the training run."""
    parts = [f"### gradgate: {'pass' if document.passed else 'FAIL'}", "", document.title]
    for table in tables(document):
        parts += ["", *map(_line, _rows(table))]
    for outcome in document.outcomes:
        if explained := explanation(outcome):
            block = ["```text", *explained[1:], "```"]
            parts += ["", f"**{outcome.name}**", "", *block, "", f"`{command_of(outcome)}`"]
        if outcome.interrupted:
            count = outcome.ordinary.cases
            cases = f"{count} ordinary {'case' if count == 1 else 'cases'}"
            parts += ["", f"**{outcome.name}**: interrupted after {cases}"]
    if document.lockstep:
        parts += ["", " ".join(lockstep_lines(document.lockstep_title, document.lockstep))]
    return "\n".join(parts)


def _rows(table: Table) -> list[list[str]]:
    """A column for each cell of a single candidate, or for each of several candidates."""
    of = f"off by, in {table.dtype} roundings"
    if len(table.columns) == 1:
        header = [of, *table.head[0]]
        rows = [
            [row.label, *[""] * (len(header) - 1 - len(row.blocks[0])), *row.blocks[0]]
            for row in (*table.rows, *table.times)
        ]
    else:
        header = [of, *(f"{name}: {', '.join(cells)}" for name, cells in zip(table.columns, table.head, strict=True))]
        rows = [[row.label, *map(", ".join, row.blocks)] for row in (*table.rows, *table.times)]
    return [header, ["---"] * len(header), *rows]


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
