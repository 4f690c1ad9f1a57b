"""The line that says how far a check has come."""

import io
import sys
import time

import pytest

from torch_ref.command.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "seconds", "shown"), [(Terminal, 3, True), (Terminal, 1, False), (io.StringIO, 3, False)]
)
def test_progress_is_shown_on_a_terminal_after_two_seconds(monkeypatch, stream, seconds, shown):
    monkeypatch.setattr(sys, "stderr", stream())
    clock = iter([0, seconds])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    Progress("f", 10)(5)
    assert sys.stderr.getvalue() == ("\r\033[Kf: 5 of 10 cases" if shown else "")
