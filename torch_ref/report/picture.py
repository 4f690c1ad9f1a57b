"""Where a gradient is wrong: a grid of the largest error in each part of it, and the grid drawn in text."""

from dataclasses import dataclass

import numpy as np

from torch_ref.outcome import Outcome
from torch_ref.results import Comparison

LARGEST = 16, 32  # the most rows and columns


@dataclass(frozen=True)
class Grid:
    """Of a result or gradient that is wrong in a case: the largest error of each cell, the rows along the first axis.

    A cell is down × across elements, fewer at the edges; the axes after the second are laid beside one another.
    """

    name: str
    label: str
    case: str
    down: int
    across: int
    allowed: float
    errors: list[list[float]]

    @property
    def title(self) -> str:
        """What it is, and how large its cells are."""
        return (
            self.label
            if self.down == self.across == 1
            else f"{self.label}, {self.down} × {self.across} elements a cell"
        )


def grids(outcome: Outcome) -> list[Grid]:
    """Of each gradient that is wrong in the first case of the diagnosis that fails."""
    wrong = next((comparison for comparison in outcome.evidence if not comparison.passed), None)
    return [grid for name in (wrong.lines if wrong else ()) if wrong and (grid := grid_of(wrong, name))]


def grid_of(comparison: Comparison, name: str) -> Grid | None:
    """None if all is right, or there are no values to compare, or only one."""
    line, yours, right = comparison.lines[name], comparison.yours.get(name), comparison.autograd[name]
    if line.passed or line.problem or yours is None or right.ndim == 0:
        return None
    off = np.abs(yours.astype(float) - right.astype(float)).reshape(len(right), -1)
    down, across = (-(-size // most) for size, most in zip(off.shape, LARGEST, strict=True))
    starts = [np.arange(0, size, step) for size, step in zip(off.shape, (down, across), strict=True)]
    cells = np.maximum.reduceat(np.maximum.reduceat(off, starts[0], axis=0), starts[1], axis=1)
    return Grid(name, line.label, str(comparison.case), down, across, line.allowed, cells.tolist())


def picture(grid: Grid) -> str:
    """The right (.) and wrong (#) cells."""
    rows = ("".join("#" if error > grid.allowed else "." for error in row) for row in grid.errors)
    return "\n".join([grid.title, *(f"  {row}" for row in rows)])
