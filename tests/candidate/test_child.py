"""The process that a candidate has: its import, its environment, and its end with the one that started it."""

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from tests.candidate.test_process import CASE, assert_right
from torch_ref import ContractError, UnusableError
from torch_ref.candidate.child import machine_memory

UNUSABLE = {
    "raises": ("1 / 0", "candidate.py: fails on import: ZeroDivisionError: division by zero at candidate.py:4: 1 / 0"),
    "exits": ("sys.exit(0)", "candidate.py: fails on import: SystemExit: 0"),
    "ends": ("os._exit(0)", "candidate.py: fails on import: ended its process with status 0"),
    "crashes": ("ctypes.string_at(0)", "candidate.py: fails on import: ended by SIGSEGV"),
    "hangs": ("threading.Event().wait()", "candidate.py: fails on import: gave no answer within 2 s"),
    "interrupts": ("raise KeyboardInterrupt", "candidate.py: fails on import: KeyboardInterrupt at candidate.py:4"),
}


@pytest.mark.parametrize(("before", "message"), UNUSABLE.values(), ids=UNUSABLE)
def test_an_import_that_does_not_end_well_is_told_in_a_line(process, before, message):
    with pytest.raises(UnusableError, match=message) as caught, process("", before, timeout=2.0):
        pass
    assert "\n" not in str(caught.value)


def test_a_call_is_timed_there(process):
    with process("global calls; calls += 1\nif calls > 30: raise ValueError", "calls = 0") as candidate:
        assert 0 < candidate.time(CASE, 20) < 20
        with pytest.raises(ContractError, match="raised ValueError"):
            candidate.time(CASE, 20)


def test_it_has_the_environment_the_folder_and_no_terminal(process, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    limit = "__import__('resource').getrlimit(__import__('resource').RLIMIT_AS)[0]"
    body = (
        f"print(os.environ['OMP_NUM_THREADS'], os.getcwd(), os.getsid(0) == os.getpid(), {limit}, file=open('s', 'w'))"
    )
    with process(body) as candidate:
        candidate(CASE)
    *seen, bound = Path("s").read_text(encoding="utf-8").split()
    assert seen == ["1", str(Path.cwd()), "True"]
    assert 0 < int(bound) <= machine_memory() or sys.platform == "darwin"


def test_torch_has_one_thread_there_as_here(process):
    body = "import torch; torch.get_num_threads() == 1 or os._exit(0)"
    with process(body, "import torch; torch.set_num_threads(2)") as candidate:
        assert_right(candidate(CASE), CASE)


ORPHAN = """
from torch_ref.candidate.child import Child
from torch_ref.candidate.process import Process
with Child("candidate.py:f", 60) as child:
    Process(child).against(("loss",), {})
"""


def test_it_dies_with_the_parent_though_it_is_busy(tmp_path):
    alive = tmp_path / "alive"
    os.mkfifo(alive)
    end = os.open(alive, os.O_RDONLY | os.O_NONBLOCK)
    code = "file = open('alive', 'w')\nfile.write('x')\nfile.flush()\nwhile True: pass"
    (tmp_path / "candidate.py").write_text(code, encoding="utf-8")
    with subprocess.Popen([sys.executable, "-c", ORPHAN], cwd=tmp_path) as parent:  # noqa: S603  # our own
        started, _, _ = select.select([end], [], [], 30)
        parent.kill()
    assert started
    assert os.read(end, 1) == b"x"
    ended, _, _ = select.select([end], [], [], 30)
    assert ended  # its end is there to be read: nobody has the other side open any more
    assert os.read(end, 1) == b""
    os.close(end)


ELSEWHERE = """
import ctypes, os, threading
from torch_ref.candidate.worker import end_with_parent
ctypes.CDLL = lambda _: object()  # no prctl
life, ours = os.pipe()
end_with_parent(os.getppid(), life)
os.close(ours)
threading.Event().wait()
"""


def test_it_dies_with_the_parent_where_the_system_does_not_see_to_it():
    assert subprocess.run([sys.executable, "-c", ELSEWHERE], timeout=30, check=False).returncode == 0  # noqa: S603
