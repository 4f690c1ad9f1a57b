"""A candidate in a process of its own: what comes back is the same, what it does to its process stays there."""

import os
import select
import signal
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from numpy_impl import loss_and_grads
from tests.comparing import draw
from torch_ref import ContractError, UnusableError
from torch_ref.candidate.calling import InProcess
from torch_ref.candidate.child import Child, machine_memory
from torch_ref.candidate.process import Process
from torch_ref.errors import EndedError

OPTIONS = {"activation": "sigmoid", "loss": "bce", "reduction": "mean"}
CASE = draw(4, 2, 3, 1, seed=0)
OTHER = draw(5, 3, 2, 1, seed=1)
RIGHT = InProcess(loss_and_grads, ("loss",), OPTIONS)


@pytest.fixture
def process(tmp_path, monkeypatch):
    """A function that starts a process on a candidate with this body, after the imports."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # C code's output would be, too

    @contextmanager
    def start(body, before="", timeout=20.0):
        code = "import ctypes, os, signal, sys, threading\nimport numpy as np\nfrom numpy_impl import loss_and_grads\n"
        code += f"{before}\ndef f(*arrays):\n{textwrap.indent(textwrap.dedent(body), '    ')}\n"
        code += "    return loss_and_grads(*arrays)\n"
        (tmp_path / "candidate.py").write_text(code, encoding="utf-8")
        with Child("candidate.py:f", timeout) as child:
            yield Process(child).against(("loss",), OPTIONS)

    return start


def assert_right(answer, case):
    right = RIGHT(case)
    assert (answer.problems, set(answer.arrays)) == ({}, set(right.arrays))
    for name, array in right.arrays.items():
        assert answer.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(answer.arrays[name], array)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_its_answer_is_what_it_would_be_here(process, dtype):
    with process("") as candidate:
        for sizes in (4, 2, 3, 1), (7, 5, 1, 2), (1, 1, 1, 1):
            case = draw(*sizes, seed=0, dtype=dtype)
            assert_right(candidate(case), case)


def test_large_arrays_come_and_go(process):
    case = draw(2048, 300, 400, 2, seed=0)
    with process("") as candidate:
        assert_right(candidate(case), case)
        assert_right(candidate(CASE), CASE)  # less than is left of the one before


ODD = {
    "float16": "np.float16(0.5)",
    "integers": "np.arange(3)",
    "complex": "np.ones((2, 0, 3), complex)",
    "text": "np.array(['σ', 'ab'])",
    "times": "np.array(['2022-01-19'], 'datetime64[D]')",
    "big-endian": "np.array([1.5, 2.5], '>f8')",
    "long double": "np.longdouble(1) / 3",
    "transposed": "np.arange(6.0).reshape(2, 3).T",
    "objects": "np.array([1, None])",
    "fields": "np.zeros(2, [('a', float), ('b', int)])",
    "no array": "[[1.0], [1.0, 2.0]]",
    "None": "None",
}


def test_whatever_it_returns_comes_as_it_would_be_here(process):
    """One process, which returns another of them in each call."""
    namespace = {"np": np}
    values = f"odd = iter([{', '.join(ODD.values())}])"
    with process("return next(odd), (0.0, 1.0, 2.0, 3.0)", values) as candidate:
        for value in ODD.values():
            odd = eval(value, namespace)  # noqa: S307  # our own
            here = InProcess(lambda *_, odd=odd: (odd, (0.0, 1.0, 2.0, 3.0)), ("loss",), {})(CASE)
            there = candidate(CASE)
            assert (value, here.problems) == (value, there.problems)
            assert set(here.arrays) == set(there.arrays)
            for name, array in here.arrays.items():
                assert (array.dtype, array.shape) == (there.arrays[name].dtype, there.arrays[name].shape), value
                np.testing.assert_array_equal(array, there.arrays[name])


BREACHES = {
    "raises": ("1 / 0", "raised ZeroDivisionError: division by zero at candidate.py:7: 1 / 0"),
    "exits": ("sys.exit(0)", r"called sys.exit\(0\), expected it to return"),
    "KeyboardInterrupt": ("raise KeyboardInterrupt", "raised KeyboardInterrupt"),
    "writes": ("arrays[2][:] = 0", "wrote to its argument W1, expected its arguments unchanged"),
    "endless recursion": ("def r(): r()\nr()", "raised RecursionError"),
    "a type of memory": ("np.ones(1 << 50)", "raised MemoryError: Unable to allocate 8.00 PiB"),
    "reads": ("input()", "raised EOFError: EOF when reading a line"),
}


def test_a_breach_is_a_breach_and_the_next_call_is_answered(process):
    """One process, which does another of them with each batch."""
    body = "".join(
        f"if len(arrays[0]) == {batch}:\n{textwrap.indent(body, '    ')}\n"
        for batch, (body, _) in enumerate(BREACHES.values(), 10)
    )
    with process(body) as candidate:
        for batch, (_, message) in enumerate(BREACHES.values(), 10):
            with pytest.raises(ContractError, match=message):
                candidate(draw(batch, 2, 3, 1, seed=0))
            assert_right(candidate(OTHER), OTHER)


ENDS = {
    "os._exit": ("os._exit(0)", "ended its process with status 0, expected it to return"),
    "segmentation fault": ("ctypes.string_at(0)", r"ended by SIGSEGV \(Segmentation fault\)"),
    "a signal": ("os.kill(os.getpid(), signal.SIGTERM)", r"ended by SIGTERM \(Terminated\)"),
    "killed": ("os.kill(os.getpid(), signal.SIGKILL)", r"ended by SIGKILL \(Killed; out of memory\?\)"),
    "closes everything": ("os.closerange(0, 256)", "closed or wrote to a file descriptor of gradgate's"),
    "writes everywhere": (
        "for n in range(1, 40):\n    try: os.write(n, b'0123456789')\n    except OSError: pass",
        "closed or wrote to a file descriptor of gradgate's",
    ),
}


@pytest.mark.parametrize(("body", "message"), ENDS.values(), ids=ENDS)
def test_one_that_ends_is_asked_no_more(process, body, message):
    with process(f"if len(arrays[0]) == 4:\n{textwrap.indent(body, '    ')}") as candidate:
        assert_right(candidate(OTHER), OTHER)
        for case in CASE, OTHER:
            with pytest.raises(EndedError, match=message) as caught:
                candidate(case)
            assert caught.value.case is case


HANGS = {
    "loop": "while True: pass",
    "lock": "threading.Lock().acquire() and threading.Event().wait()",
    "thread": "t = threading.Thread(target=threading.Event().wait)\nt.start()\nt.join()",
    "stopped": "os.kill(os.getpid(), signal.SIGSTOP)",
    "floods": "while True: os.write(1, b'x' * 65536)",
    "C": "ctypes.PyDLL(None).pause()",  # holds the interpreter
}


@pytest.mark.parametrize("body", HANGS.values(), ids=HANGS)
def test_one_that_hangs_is_ended_and_asked_no_more(process, body):
    with process(body, timeout=1.0) as candidate:
        with pytest.raises(EndedError, match="gave no answer within 1 s"):
            candidate(CASE)
        assert candidate.child.process.returncode == -signal.SIGKILL
        with pytest.raises(EndedError, match="gave no answer within 1 s"):
            candidate.time(CASE, 1)


HARMLESS = {
    "print": ("print('epoch 1')", True),
    "buffer": ("sys.stdout.buffer.write(b'epoch 1')", True),
    "os.write": ("os.write(1, b'epoch 1')", True),
    "printf": ("ctypes.CDLL(None).printf(b'epoch 1')", True),
    "a shell": ("os.system('echo epoch 1')", True),
    "closes sys.stdout": ("sys.stdout.close()", False),
    "closes 1": ("if len(arrays[0]) == 4: os.close(1)", False),
    "standard error": ("os.write(2, b'epoch 1'); sys.stderr.write('epoch 1')", False),
    "stdin": ("sys.stdin.read()", False),
    "forks": ("os.fork()", False),
    "a thread": ("threading.Thread(target=threading.Event().wait).start()", False),
    "chdir": ("os.chdir('/')", False),
    "seterr": ("np.seterr(all='raise')", False),
    "atexit": ("import atexit; atexit.register(os._exit, 7)", False),
    "numpy": ("np.array = np.asarray = np.allclose = None", False),
    "torch_ref": ("import torch_ref.candidate.calling as c; c.InProcess.__call__ = c.Answer = None", False),
}


@pytest.mark.parametrize(("body", "prints"), HARMLESS.values(), ids=HARMLESS)
def test_what_only_dirties_its_process_changes_nothing(process, body, prints, capfd):
    with process(body) as candidate:
        for case in CASE, OTHER:
            answer = candidate(case)
            assert_right(answer, case)
            assert answer.printed is prints
    assert capfd.readouterr() == ("", "")


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
