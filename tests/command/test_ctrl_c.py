"""Ctrl-C, whenever it comes: a line that says so, and never a verdict that is not one."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.command.running import run

pytestmark = pytest.mark.usefixtures("elsewhere")

INTERRUPTS = "os.kill(os.getppid(), signal.SIGINT)\nwhile True: pass"


def test_ctrl_c_in_a_call_is_a_line_with_the_candidate_and_the_case(write):
    write(f"if len(arrays[0]) == 1:\n{textwrap.indent(INTERRUPTS, '    ')}")
    done = run("mine.py:f", "--cases", "8")
    assert (done.returncode, done.stderr) == (1, "")
    assert re.search(
        r"\nmine.py:f: interrupted after \d+ cases, in \[seed=0 batch=1 .*\]\n\nINTERRUPTED\n$", done.stdout
    )


def test_ctrl_c_during_the_imports_is_a_line_with_the_candidate(write):
    write("", INTERRUPTS)
    done = run("mine.py:f")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "gradgate: interrupted before the first case of mine.py:f\n"


SWALLOWED_THERE = """
import os, signal, sys

class Swallows:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)

Swallows()
sys.path = [folder for folder in sys.path if folder != os.path.dirname(__file__)]
del sys.modules["hypothesis"]
import hypothesis
"""


@pytest.mark.parametrize(
    "imported", ['exec("raise KeyboardInterrupt")', SWALLOWED_THERE], ids=["within an exec", "swallowed by Python"]
)
def test_ctrl_c_is_not_lost_wherever_it_comes_during_the_imports(imported, write, tmp_path, monkeypatch):
    """Dataclasses are made by exec, and much that is imported has some."""
    write("")
    (tmp_path / "hypothesis.py").write_text(imported, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), str(Path(__file__).parents[2]))))
    done = run("mine.py:f")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "gradgate: interrupted before the first case of mine.py:f\n"


SWALLOWED = """
import os, signal, sys
from torch_ref.command.interrupts import remember_interrupts

class Swallows:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)

try:
    raise_again = remember_interrupts()
    raise_again()
    Swallows()
    print("went on")
    raise_again()
    print("not again")
except KeyboardInterrupt:
    print("in the end")
"""


def test_ctrl_c_that_python_swallows_is_not_lost():
    done = subprocess.run([sys.executable, "-c", SWALLOWED], capture_output=True, text=True, check=False)  # noqa: S603
    assert (done.stdout, done.stderr) == ("went on\nin the end\n", "")


AGAIN = """
import os, signal
from torch_ref.command import interrupts


interrupts.remember_interrupts()
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    os.kill(os.getpid(), signal.SIGINT)
    print("the report", flush=True)
interrupts.AT_ONCE = 0
os.kill(os.getpid(), signal.SIGINT)
print("not reached")
"""


def test_a_second_ctrl_c_is_obeyed_unless_it_comes_with_the_first():
    done = subprocess.run([sys.executable, "-c", AGAIN], capture_output=True, text=True, check=False)  # noqa: S603
    assert (done.returncode, done.stdout) == (2, "the report\n")
    assert done.stderr == "gradgate: interrupted again, ended without a report\n"


def test_ctrl_c_at_the_very_end_changes_no_verdict():
    """Python's own end runs what others have left to be run, torch among them."""
    code = "import atexit, os, signal, sys; from torch_ref.command import interrupts; interrupts.AT_ONCE = -1\n"
    code += "for _ in range(2): atexit.register(os.kill, os.getpid(), signal.SIGINT)\n"
    code += "from torch_ref.__main__ import main; sys.argv[1:] = ['--version']; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603
    assert (done.returncode, done.stderr) == (0, "")
