"""A candidate in a process of its own: what comes back is the same, what it does to its process stays there."""

import signal
import textwrap

import numpy as np
import pytest

from numpy_impl import loss_and_grads
from tests.candidate.conftest import OPTIONS
from tests.comparing import draw
from torch_ref import ContractError
from torch_ref.candidate.calling import InProcess
from torch_ref.errors import EndedError

CASE = draw(4, 2, 3, 1, seed=0)


OTHER = draw(5, 3, 2, 1, seed=1)


RIGHT = InProcess(loss_and_grads, ("loss",), OPTIONS)


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
