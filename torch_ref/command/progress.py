"""The line that says how far a check has come."""

import shutil
import sys
import time
from collections.abc import Callable

PATIENCE = 2.0  # seconds before anything is shown
PAUSE = 0.25  # seconds between two of them


class Progress:
    """A line on standard error, if that is a terminal: after two seconds, four times a second, erased at the end.

    before_each is called before each case.
    """

    def __init__(self, name: str, total: int, before_each: Callable[[], None] = lambda: None) -> None:
        self.name, self.total, self.before_each = name, total, before_each
        self.due = time.monotonic() + PATIENCE
        self.shown = False

    def __call__(self, done: int) -> None:
        """Show that so many cases are judged; or, once all are, that the failure is made smaller."""
        self.before_each()
        if sys.stderr.isatty() and (now := time.monotonic()) > self.due:
            self.due, self.shown = now + PAUSE, True
            doing = f"{done} of {self.total} cases" if done < self.total else "shrinking what fails"
            text = f"{self.name}: {doing}"
            width = shutil.get_terminal_size().columns - 1  # the cursor needs one
            print(f"\r\033[K{text[-width:]}", end="", file=sys.stderr, flush=True)

    def erase(self) -> None:
        """Leave the line as it was before."""
        if self.shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
