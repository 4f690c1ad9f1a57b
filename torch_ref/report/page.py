"""A document as a page of its own to look at: no network and no script is needed to read it."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from torch_ref.outcome import Outcome
from torch_ref.precision import PRECISIONS
from torch_ref.report.document import Document, command_of
from torch_ref.report.drawing import Dot, Strip, heat, strips
from torch_ref.report.picture import Grid, grids
from torch_ref.report.table import ALONE, Cells, cells, number, tables
from torch_ref.report.text import lockstep_lines
from torch_ref.tally import Tally

TEMPLATE = "page.html.j2"  # beside this file
NEARER: Cells = ("typical", "largest", "nearer than autograd")
WRONG = re.compile(r"^(?!.*not counted).*(differ|fail|break|untested)")  # of a verdict


class Card(NamedTuple):
    """A result or gradient: a picture, the head of its table, a row of cells for each candidate, and what to note."""

    label: str
    picture: str
    head: Cells
    rows: dict[str, Cells]
    note: str = ""


def page(document: Document) -> str:
    """The page as HTML: the verdict and what is wrong first, then how far off all is, and what was checked."""
    loader = FileSystemLoader(Path(__file__).parent)
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters["breakable"] = _breakable
    made.tests["wrong"] = WRONG.search
    return made.get_template(TEMPLATE).render(
        document=document,
        tables=tables(document),
        errors=partial(_errors, document),
        accuracy=partial(_accuracy, document),
        truths={name: of.truth for name, of in PRECISIONS.items() if of.truth},
        grids=grids,
        map=_map,
        command_of=command_of,
        lockstep_lines=lockstep_lines,
    )


def _breakable(name: str) -> Markup:
    """A name that may go on in the next line."""
    return Markup("").join(part + Markup("<wbr>") for part in re.split("(?<=[/:_.])", name))


def _errors(document: Document, dtype: str) -> Iterator[Card]:
    """How far off each result and gradient is in every ordinary case, and what was allowed."""
    found = {of.name: of.ordinary for of in document.outcomes if of.settings["dtype"] == dtype}
    labels = {name: tally.worst.label for summary in found.values() for name, tally in summary.tallies.items()}
    for name, label in labels.items():
        rows = {of: cells(summary, name, alone=True) for of, summary in found.items()}
        tallies = {of: summary.tallies[name] for of, summary in found.items() if name in summary.tallies}
        dots = {of: _dots(tally) for of, tally in tallies.items()}
        left = {of: f"{tally.cases - len(dots[of])} of {tally.cases} cases of {of}" for of, tally in tallies.items()}
        vacuous = ", ".join(left[of] for of, tally in tallies.items() if len(dots[of]) < tally.cases)
        note = f"Not drawn, since zeros would pass too: {vacuous}." if vacuous else ""
        shown = [Strip(of if len(found) > 1 else "", some) for of, some in dots.items()]
        alt = _said(f"{label}, {dtype}", ALONE, rows)
        yield Card(label, strips(shown, _whole(dtype), alt) if any(dots.values()) else "", ALONE, rows, note)


def _dots(tally: Tally) -> list[Dot]:
    """Of the cases that prove something: in the others what is allowed is as large as the gradient itself."""
    return [Dot(of.units, of.limit, not of.passed) for of in tally.lines if not (of.passed and of.vacuous)]


def _accuracy(document: Document, dtype: str) -> Iterator[Card]:
    """How far each result and gradient is off the truth: each candidate's, and autograd's."""
    found = [(outcome.name, of) for outcome in document.outcomes for of in outcome.accuracy if of.dtype == dtype]
    for label in dict.fromkeys(of.label for _, of in found):
        errors = {name: of.candidate for name, of in found if of.label == label}
        errors["autograd"] = next(of.autograd for _, of in found if of.label == label)
        rows = {name: _nearer(some, errors["autograd"]) for name, some in errors.items()}
        shown = [Strip(name, [Dot(error) for error in some]) for name, some in errors.items()]
        alt = _said(f"{label} against the truth of {dtype}", NEARER, rows)
        yield Card(label, strips(shown, _whole(dtype), alt), NEARER, rows)


def _nearer(errors: list[float], autograd: list[float]) -> Cells:
    """Its numbers, and in how many cases it is nearer to the truth than autograd."""
    nearer = sum(mine < its for mine, its in zip(errors, autograd, strict=True))
    which = "" if errors is autograd else f"in {nearer} of {len(errors)} cases"
    return number(median(errors)), number(max(errors)), which


def _map(outcome: Outcome, grid: Grid) -> str:
    """Where a gradient is wrong."""
    errors = [error for row in grid.errors for error in row]
    wrong = sum(error > grid.allowed for error in errors)
    alt = f"{outcome.name}, {grid.label}: {wrong} of {len(errors)} cells are wrong, off by {max(errors):.1e} at most"
    return heat(grid, alt)


def _whole(dtype: str) -> float:
    """How many roundings are an error of 100 %."""
    return 1 / PRECISIONS[dtype].unit_roundoff


def _said(of: str, head: Cells, rows: dict[str, Cells]) -> str:
    """The numbers in words, for who does not see the picture."""
    words = {
        name: ", ".join(f"{word} {cell}" for word, cell in zip(head[-len(row) :], row, strict=True) if cell)
        for name, row in rows.items()
    }
    return f"{of}, in roundings. {'; '.join(f'{name}: {said}' for name, said in words.items())}"
