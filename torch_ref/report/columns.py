"""A table as text, in columns."""

from itertools import zip_longest
from textwrap import wrap

from torch_ref.report.table import Cells, Row, Table

NARROW, WIDE = 80, 120  # characters: of one candidate, and of two or three
EACH = 30  # of each of more, and of autograd


def in_columns(table: Table) -> str:
    """The table, its columns two spaces apart, no wider than it should be if that can be.

    A label for which there is no room has a line of its own.
    """
    several = len(table.columns) > 1
    rows = [*_head(table), *table.rows, *table.times]
    blocks = list(map(_padded, zip(*(row.blocks for row in rows), strict=True)))
    limit = max(WIDE, EACH * len(table.columns)) if several else NARROW
    room = limit - sum(2 + len(block[0]) for block in blocks)
    labels = [f"  {row.label}" if row.nested else row.label for row in rows]
    width = max((len(label) for label in labels if len(label) <= room), default=0)
    lines = []
    for label, cells in zip(labels, map("  ".join, zip(*blocks, strict=True)), strict=True):
        alone = len(label) > width and cells.strip()
        lines += [label] * bool(alone) + [f"{'' if alone else label:{width}}  {cells}"]
    return "\n".join(line.rstrip() for line in lines)


def _head(table: Table) -> list[Row]:
    """What the numbers are; and whose, if there are several candidates."""
    if len(table.columns) == 1:
        return [Row(f"off by, in {table.dtype} roundings", table.head)]
    names = zip_longest(*(wrap(name, EACH - 2) for name in table.columns), fillvalue="")
    first, *more = ([(part,) for part in line] for line in names)
    return [Row(f"off by, in {table.dtype}", first), *(Row("", line) for line in more), Row("roundings", table.head)]


def _padded(blocks: tuple[Cells, ...]) -> list[str]:
    """Blocks that stand one below the other, all of one width. One of a single cell goes across the others' cells."""
    most = max(map(len, blocks))
    full = [block for block in blocks if len(block) == most]
    widths = [max(map(len, cells)) for cells in zip(*full, strict=True)]
    texts = ["  ".join(map(str.ljust, block, widths)) if len(block) == most else block[0] for block in blocks]
    return [text.ljust(max(map(len, texts))) for text in texts]
