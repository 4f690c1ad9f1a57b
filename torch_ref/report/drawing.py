"""Pictures of numbers as SVG, by matplotlib: strips of dots on a log axis, and maps of where errors are."""

import io
import re
from collections.abc import Sequence
from html import escape
from math import ceil, isfinite, log10
from typing import NamedTuple
from warnings import catch_warnings, simplefilter

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from torch_ref.report.picture import Grid

RIGHT, WRONG, ALLOWED = "#0072b2", "#d55e00", "#6e6e6e"  # told apart by the color-blind (Okabe and Ito, 2008)
WIDTH = 4.7  # inches of 72 CSS pixels: as wide as a phone
MOST = 300  # dots of a strip: of more cases so many, of all sizes
LEAST = 0.1  # of a rounding: what is less is drawn there
TICKS = 5  # at most, so that there is room for what they say
LONGEST = 48  # characters of a name
NUMBERED = 6  # columns and twice as many rows: each cell of a map that is no larger has its number
STYLE = {"svg.fonttype": "none", "font.size": 11, **{f"axes.spines.{side}": False for side in ("top", "right", "left")}}


class Dot(NamedTuple):
    """A case: the error, what was allowed (NaN if nobody says), both in roundings, and whether it is wrong."""

    error: float
    allowed: float = np.nan
    wrong: bool = False


class Strip(NamedTuple):
    """All cases of one candidate."""

    title: str
    dots: Sequence[Dot]


def strips(shown: Sequence[Strip], whole: float, alt: str) -> str:
    """One strip below another, on one log axis. whole is how many roundings are an error of 100 %."""
    sizes = [size for strip in shown for dot in strip.dots for size in dot[:2] if isfinite(size)]
    farthest = max(100.0, *sizes)
    with matplotlib.style.context(["default", {**STYLE, "svg.hashsalt": alt}]):
        height = 0.3 + 0.65 * len(shown)
        figure = Figure(figsize=(WIDTH, height))
        axes = figure.add_axes((0.01, 0.3 / height, 0.98, 1 - 0.3 / height))  # below it, room for the ticks
        margin = (farthest / LEAST) ** 0.07  # for the first tick, and for what is beyond the farthest
        axes.set(xscale="log", xlim=(LEAST / margin, farthest * margin), ylim=(0.5 - len(shown), 0.5), yticks=[])
        for row, strip in enumerate(shown):
            _strip(axes, -row, strip, farthest * margin**0.8)
        if farthest > whole:
            axes.axvline(whole, color=ALLOWED, linewidth=1, linestyle=":")
        _powers_of_ten(axes, farthest)
        return _svg(figure, alt)


def _strip(axes: Axes, y: float, strip: Strip, edge: float) -> None:
    """Dots that are right, crosses that are wrong, and below them strokes for what was allowed."""
    dots = sorted(strip.dots)[:: ceil(len(strip.dots) / MOST) or 1]
    errors, allowed = (np.clip([dot[i] for dot in dots], LEAST, edge) for i in (0, 1))
    heights = y + 0.3 * np.modf(0.618 * np.arange(len(dots)))[0] - 0.2  # so that few lie upon others
    wrong = np.array([dot.wrong for dot in dots], bool)
    axes.plot(errors[~wrong], heights[~wrong], "o", color=RIGHT, markersize=3.5, alpha=0.6, markeredgewidth=0)
    axes.plot(errors[wrong], heights[wrong], "x", color=WRONG, markersize=4)
    axes.plot(allowed, np.full(len(dots), y - 0.34), "|", color=ALLOWED, markersize=6, alpha=0.5)
    title = strip.title if len(strip.title) <= LONGEST else f"…{strip.title[1 - LONGEST :]}"
    axes.text(0.01, y + 0.2, title, transform=axes.get_yaxis_transform(), fontsize=10, parse_math=False)


def _powers_of_ten(axes: Axes, farthest: float) -> None:
    """A few ticks, as far apart as they must be."""
    step = ceil(log10(farthest) / TICKS)
    powers = range(0 if step < 3 else step, int(log10(farthest)) + 1, step)  # 1 is too near to 0.1 then
    raised = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
    words = [str(10**power) if power < 4 else f"10{str(power).translate(raised)}" for power in powers]
    axes.set_xticks([LEAST, *(10.0**power for power in powers)], [f"≤{LEAST}", *words])
    axes.set_xticks([], minor=True)


def heat(grid: Grid, alt: str) -> str:
    """A cell for each error, the darker the larger; what is right is left white."""
    errors = np.array(grid.errors)
    rows, columns = errors.shape
    with matplotlib.style.context(["default", {**STYLE, "svg.hashsalt": alt}]):
        figure = Figure(figsize=(WIDTH, 0.8 + 0.24 * max(rows, 3)), layout="constrained")
        axes = figure.subplots()
        wrong = np.ma.masked_less_equal(errors, grid.allowed)
        norm = LogNorm(wrong.min() / 2, wrong.max() * 2)
        mesh = axes.pcolormesh(wrong, cmap="cividis_r", norm=norm, edgecolors="#bbbbbb", linewidth=0.5)
        axes.invert_yaxis()
        for axis, size, each in (axes.yaxis, rows, grid.down), (axes.xaxis, columns, grid.across):
            places = MaxNLocator(6, integer=True).tick_values(0, size - 1)
            starts = sorted({int(place) for place in places if 0 <= place < size})
            axis.set_ticks([start + 0.5 for start in starts], [str(start * each) for start in starts])
        if columns <= NUMBERED and rows <= 2 * NUMBERED:
            for (row, column), error in np.ndenumerate(errors):
                light = error > grid.allowed and norm(error) > 0.5
                axes.text(
                    column + 0.5,
                    row + 0.5,
                    f"{error:.0e}",
                    ha="center",
                    va="center",
                    fontsize=9,
                    color="w" if light else "k",
                )
        figure.colorbar(mesh, ax=axes, label="off by")
        return _svg(figure, alt)


def _svg(figure: Figure, alt: str) -> str:
    """The figure to stand in a page, as wide as there is room; matplotlib's ids go where nothing refers to them."""
    text = io.StringIO()
    with catch_warnings():
        simplefilter("ignore")  # a name in letters that matplotlib's font has not; the browser's has
        figure.savefig(text, format="svg", metadata={"Date": None})
    drawn = text.getvalue().partition("</defs>")[2]
    drawn = re.sub(r' id="[\w.]+_\d+"', "", drawn)
    width, height = (72 * inches for inches in figure.get_size_inches())
    return f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(alt)}">{drawn}'
