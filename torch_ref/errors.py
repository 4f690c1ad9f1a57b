"""The exceptions, and somebody else's exception in one line."""

import linecache
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch_ref.cases.case import Case

LONGEST = 300  # characters of somebody else's text
LONGEST_BREACH = 2000  # with what was expected, which has the names of all parameters


class UnusableError(ValueError):
    """There is nothing to test, or nothing to test it by: no such file or function, or a reference that can't serve."""


class ContractError(Exception):
    """The candidate did not return results and gradients, or did what it must not: there is nothing to compare."""

    def __init__(self, text: str) -> None:
        super().__init__(plain(text, LONGEST_BREACH))


class EndedError(Exception):
    """The candidate's process has ended, or hung, in this case: it can be asked nothing more."""

    def __init__(self, text: str, case: "Case") -> None:
        super().__init__(plain(text))
        self.case = case


def plain(text: str, longest: int = LONGEST) -> str:
    r"""Somebody else's text, safe to show: cut to so many characters, and with no power over a terminal.

    >>> print(plain("\x1b[2Jgone\n"))
    \x1b[2Jgone\n
    """
    cut = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)


def summary(error: BaseException, file: str = "") -> str:
    """The exception, and the line that raised it: the innermost in `file`, or else the innermost of all."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if file and Path(frame.filename).resolve() == Path(file).resolve()]
    kind = type(error).__name__
    try:
        text = f"{kind}: {error}".removesuffix(": ").partition("\n")[0]
    except Exception:  # noqa: BLE001  # its own __str__ fails
        text = kind
    if isinstance(error, SyntaxError) or not frames:
        return plain(text)
    frame = (theirs or frames)[-1]
    line = linecache.getline(frame.filename, frame.lineno or 0).strip()
    return f"{plain(text)} at {plain(Path(frame.filename).name)}:{frame.lineno}: {plain(line)}"
