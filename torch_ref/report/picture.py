"""A gradient drawn as a grid of its right and wrong elements."""

import numpy as np

from torch_ref.results import Comparison

LARGEST = 16, 32  # the most rows and columns


def picture(comparison: Comparison, name: str) -> str:
    """A grid of the right (.) and wrong (#) elements, a cell for several if it is large; "" if all are right.

    The rows are the first axis.
    """
    line, yours, right = comparison.lines[name], comparison.yours.get(name), comparison.autograd[name]
    if line.passed or line.problem or yours is None or right.ndim == 0:
        return ""
    wrong = (np.abs(yours.astype(float) - right.astype(float)) > line.allowed).reshape(len(right), -1)
    down, across = (-(-size // most) for size, most in zip(wrong.shape, LARGEST, strict=True))
    lines = [line.label if down == across == 1 else f"{line.label}, {down} × {across} elements a cell"]
    for top in range(0, wrong.shape[0], down):
        cells = (wrong[top : top + down, left : left + across].any() for left in range(0, wrong.shape[1], across))
        lines.append("  " + "".join("#" if cell else "." for cell in cells))
    return "\n".join(lines)
