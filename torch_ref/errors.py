"""The exceptions, and somebody else's exception in one line."""

import linecache
import traceback
from pathlib import Path


class UnusableError(ValueError):
    """There is nothing to test, or nothing to test it by: no such file or function, or a reference that can't serve."""


class ContractError(Exception):
    """The candidate did not return results and gradients, or did what it must not: there is nothing to compare."""


def summary(error: BaseException, file: str = "") -> str:
    """The exception, and the line that raised it: the innermost in `file`, or else the innermost of all."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if file and Path(frame.filename).resolve() == Path(file).resolve()]
    try:
        text = f"{type(error).__name__}: {error}".removesuffix(": ").partition("\n")[0]
    except Exception:  # noqa: BLE001  # its own __str__ fails
        text = type(error).__name__
    if isinstance(error, SyntaxError) or not frames:
        return text
    frame = (theirs or frames)[-1]
    line = linecache.getline(frame.filename, frame.lineno or 0).strip()
    return f"{text} at {Path(frame.filename).name}:{frame.lineno}: {line}"
