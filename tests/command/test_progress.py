"""The line that says how far a check has come: seldom, short, right, and gone at the end."""

import io
import os
import re
import shutil
import sys
import time
from itertools import count
from types import SimpleNamespace

import pytest

from torch_ref import TwoLayers
from torch_ref.command import progress, run
from torch_ref.command.main import main
from torch_ref.command.progress import Progress
from torch_ref.settings import Settings

ERASED = "\r\033[K"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """A terminal of 40 columns as the command's standard error, and a clock that is set by hand: its `now`."""
    made = SimpleNamespace(stderr=Terminal(), now=0.0)
    monkeypatch.setattr(progress, "sys", made)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: made.now))
    monkeypatch.setattr(shutil, "get_terminal_size", lambda **_: os.terminal_size((40, 24)))  # pytest -v asks too
    return made


@pytest.mark.parametrize(
    ("stream", "seconds", "shown"), [(Terminal, 3, True), (Terminal, 1, False), (io.StringIO, 3, False)]
)
def test_progress_is_shown_on_a_terminal_after_two_seconds(monkeypatch, stream, seconds, shown):
    monkeypatch.setattr(sys, "stderr", stream())
    clock = iter([0, seconds])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    Progress("f", 10)(5)
    assert sys.stderr.getvalue() == ("\r\033[Kf: 5 of 10 cases" if shown else "")


def test_it_is_redrawn_four_times_a_second_however_fast_cases_are(terminal):
    shown = Progress("f", 10_000)
    for case in range(1, 5001):
        terminal.now = case / 1000  # a case a millisecond, for five seconds
        shown(case)
    drawn = re.findall(r"(\d+) of 10000 cases", terminal.stderr.getvalue())
    assert len(drawn) in (11, 12)  # of the last three seconds
    assert drawn == sorted(drawn, key=int)


def test_it_is_never_longer_than_the_terminal(terminal):
    shown = Progress("a_package_of_some_depth.a_module_with_a_name:a_function", 100)
    terminal.now = 3.0
    shown(50)
    line = terminal.stderr.getvalue().removeprefix(ERASED)
    assert len(line) == 39  # the cursor needs a column
    assert line.endswith("a_function: 50 of 100 cases")


def test_it_is_erased_if_it_was_shown(terminal):
    shown = Progress("f", 100)
    shown.erase()
    assert terminal.stderr.getvalue() == ""
    terminal.now = 3.0
    shown(50)
    shown.erase()
    assert terminal.stderr.getvalue().endswith(f"50 of 100 cases{ERASED}")


def test_while_a_failure_is_made_smaller_it_says_so(terminal):
    shown = Progress("f", 100)
    terminal.now = 3.0
    shown(100)
    assert terminal.stderr.getvalue().endswith("f: shrinking what fails")


@pytest.mark.parametrize("cases", ["1", "3", "20"])
@pytest.mark.parametrize("factor", [1, 2], ids=["right", "wrong"])
def test_the_total_is_the_number_of_cases_that_are_judged(monkeypatch, tmp_path, cases, factor, capsys):
    """With fewer cases than there are explicit ones too; a failure is then made smaller, and that is no case."""
    counts, totals = [], []

    class Noted(Progress):
        def __init__(self, name, total, *rest):
            totals.append(total)
            super().__init__(name, total, *rest)

        def __call__(self, done):
            counts.append(done)

    code = "from numpy_impl import loss_and_grads\ndef f(*arrays):\n    loss, grads = loss_and_grads(*arrays)\n"
    (tmp_path / "f.py").write_text(f"{code}    return loss * {factor}, grads\n", encoding="utf-8")
    monkeypatch.setattr(run, "Progress", Noted)
    assert main([f"{tmp_path / 'f.py'}:f", "--cases", cases]) == factor - 1
    assert totals == [Settings(cases=int(cases)).total(TwoLayers())]
    before = [count for count in counts if count < totals[0]]
    assert before == list(range(totals[0]))
    assert (totals[0] in counts) == (factor == 2)
    assert "ordinary case" in capsys.readouterr().out


def test_it_is_erased_with_a_reference_too(tmp_path, monkeypatch, terminal, capsys):
    code = """
        from torch_ref import TwoLayers
        def make():
            return TwoLayers()
    """
    (tmp_path / "network_of_mine.py").write_text("\n".join(line[8:] for line in code.splitlines()), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    seconds = count()
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(seconds)))  # a second a look
    assert main(["numpy_impl:loss_and_grads", "--reference", "network_of_mine.py:make", "--cases", "8"]) == 0
    sys.modules.pop("network_of_mine")
    assert re.search(r"of 10 cases", terminal.stderr.getvalue())
    assert terminal.stderr.getvalue().endswith(ERASED)
    assert capsys.readouterr().out.endswith("PASS\n")
