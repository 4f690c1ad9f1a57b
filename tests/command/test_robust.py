"""The command, whatever a candidate does, whatever becomes of its output, whenever it is interrupted."""

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from torch_ref.candidate.child import machine_memory
from torch_ref.command.main import main

GRADGATE = [sys.executable, "-m", "torch_ref"]
WRONG = "from numpy_impl import loss_and_grads as right\ndef f(*arrays):\n    loss, g = right(*arrays)\n"
WRONG += "    return loss, (2 * g[0], *g[1:])\n"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Each test in a folder of its own, and nothing of it stays imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # an output that is lost may be lost at the very end
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def write(tmp_path):
    """A function that writes a candidate with this body: right, unless the body sees to it."""

    def write(body, before="", name="mine.py"):
        code = f"import ctypes, os, signal, sys\nfrom numpy_impl import loss_and_grads\n{before}\ndef f(*arrays):\n"
        code += f"{textwrap.indent(body, '    ')}\n    return loss_and_grads(*arrays)\n"
        (tmp_path / name).write_text(code, encoding="utf-8")

    return write


def run(*arguments, **options):
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "timeout": 120, **options}
    return subprocess.run([*GRADGATE, *arguments], check=False, **options)  # noqa: S603  # our own


ENDS = {
    "os._exit": ("os._exit(0)", "ended its process with status 0, expected it to return"),
    "a crash": ("ctypes.string_at(0)", "ended by SIGSEGV"),
    "a loop": ("while True: pass", "gave no answer within 1 s"),
}


@pytest.mark.parametrize(("body", "message"), ENDS.values(), ids=ENDS)
def test_the_case_in_which_it_ends_is_the_report(write, capsys, body, message):
    calls = "def call(what):\n    with open('calls', 'a') as file:\n        file.write(what)"
    write(f"if len(arrays[0]) == 1:\n    call('!')\n    {body}\ncall('.')", calls)
    assert main(["mine.py:f", "--cases", "8", "--timeout", "1", "--format", "json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)["candidates"]
    assert (found["verdict"], found["diagnosis"]) == ("fail", [])
    assert found["failure"]["message"].startswith(message)
    assert found["failure"]["case"]["batch"] == 1
    assert re.fullmatch(r"\.+!", Path("calls").read_text(encoding="utf-8"))  # none after it


def test_ending_in_a_saturated_case_fails_though_such_a_case_does_not_count(write, capsys):
    code = "x, _, W1, B1, W2, B2 = arrays\nS1 = 1 / (1 + np.exp(-W1 @ x.T - B1))\n"  # |G2| <= 12 in ordinary cases
    write(f"{code}if abs(W2 @ S1 + B2).max() > 13: os._exit(0)", "import numpy as np")
    assert main(["mine.py:f", "--cases", "8"]) == 1
    shown = capsys.readouterr().out
    assert re.search(r"8 ordinary cases\n  loss .* match", shown)
    assert re.search(r"saturated +1 of \d break the contract\n", shown)
    assert re.search(r"The case it does not come back from\n  ended its process .* saturated\]", shown)


def test_ending_in_a_call_after_the_cases_fails_too(write, capsys):
    write("calls.append(arrays[2].tobytes())\nif calls.count(calls[-1]) > 2: os._exit(0)", "calls = []")
    assert main(["mine.py:f", "--cases", "8"]) == 1  # a third call of one case asks whether it prints
    assert "ended its process" in capsys.readouterr().out


def test_one_that_ends_does_not_end_the_others(write, capsys):
    write("os._exit(0)")
    write("", name="other.py")
    assert main(["mine.py:f", "other.py:f", "--cases", "8", "--format", "json"]) == 1
    verdicts = [found["verdict"] for found in json.loads(capsys.readouterr().out)["candidates"]]
    assert verdicts == ["fail", "pass"]


def test_an_import_that_ends_the_process_is_no_use(write, capsys):
    write("", "os._exit(0)")
    assert main(["mine.py:f"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("gradgate: mine.py: fails on import: ended its process with status 0")


def test_standard_input_is_not_for_it_and_standard_output_stays_a_document(write):
    prints = "os.write(1, b'{'); print('}')"
    write(f"sys.stdin.read() and os._exit(3)\n{prints}; ctypes.CDLL(None).puts(b'[')", prints)
    done = run("mine.py:f", "--cases", "8", "--format", "json", input="something")
    assert (done.returncode, done.stderr) == (0, "")
    (found,) = json.loads(done.stdout)["candidates"]
    assert "prints to standard output; it is left out here" in found["notes"]


REFERENCE = """
from torch import nn
import config
print("a reference may print")

def draw(rng, batch):
    return rng.standard_normal((batch, 3)), rng.standard_normal((batch, 1))

def make():
    print("a reference may print")
    return __import__("torch_ref").Reference(nn.Linear(3, config.outputs), nn.MSELoss(), draw)
"""
LINEAR = """
import config
def f(x, t, W, b):
    d = x @ W.T + b - t
    g = config.factor * d / d.size
    return (d * d).mean(), (g.T @ x, g.sum(axis=0))
"""


def test_a_reference_and_a_candidate_each_have_what_lies_beside_them(capsys):
    ours = sys.modules["numpy_impl"]
    for folder in "ours", "theirs":
        Path(folder).mkdir()
    network = "from numpy_impl import outputs\n"
    Path("ours/reference.py").write_text(REFERENCE, encoding="utf-8")
    Path("ours/config.py").write_text(network, encoding="utf-8")
    Path("ours/numpy_impl.py").write_text("outputs = 1", encoding="utf-8")
    Path("theirs/mine.py").write_text(LINEAR, encoding="utf-8")
    Path("theirs/config.py").write_text("factor = 2", encoding="utf-8")
    options = ["--reference", "ours/reference.py:make", "--cases", "8", "--format", "json"]
    assert main(["theirs/mine.py:f", *options]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "pass"
    assert sys.modules["numpy_impl"] is ours


def test_a_network_of_the_users_own_breaks_nothing():
    Path("numpy_impl.py").write_text(WRONG.replace("from numpy_impl import loss_and_grads as right", ""), "utf-8")
    own = Path("numpy_impl.py").read_text(encoding="utf-8")
    Path("numpy_impl.py").write_text(
        f"def right(*arrays): return 0.0, [0 * array for array in arrays[2:]]\n{own}", encoding="utf-8"
    )
    Path("mine.py").write_text("from numpy_impl import f", encoding="utf-8")
    done = run("mine.py:f", "numpy_impl:f", "--cases", "5", "--format", "json")  # theirs, which is wrong, and not ours
    assert [candidate["verdict"] for candidate in json.loads(done.stdout)["candidates"]] == ["fail", "fail"]
    assert run("--cases", "5").returncode == 0  # ours


TWICE = """
import os, sys
from torch_ref.command.main import main
main(["nowhere.py:f"])
import torch_ref.command.run  # most of the time goes into this
if not os.fork():
    sys.exit(main(["right.py:f", "--cases", "8"]))
print(os.waitstatus_to_exitcode(os.wait()[1]), file=sys.stderr)
sys.exit(main(["wrong.py:f", "--cases", "8"]))
"""


@pytest.mark.parametrize("output", ["nobody reads", "closed", "with the input", "full"])
def test_a_lost_output_is_a_line_and_the_verdict_keeps_its_status(tmp_path, output):
    """One process that has nothing to say on it but the verdict of a copy of itself, and then its own."""
    (tmp_path / "wrong.py").write_text(WRONG, encoding="utf-8")
    (tmp_path / "right.py").write_text(WRONG.replace("2 * ", ""), encoding="utf-8")
    lost = {"nobody reads": "", "closed": "exec 1>&-;", "full": "exec 1>/dev/full;"}
    lost = {**lost, "with the input": "exec 0<&- 1>&-;"}[output]
    reading, writing = os.pipe()
    os.close(reading)
    command = ["sh", "-c", f'{lost} exec "$@"', "sh", sys.executable, "-W", "ignore", "-c", TWICE]
    done = subprocess.run(  # noqa: S603  # our own
        command, stdout=writing, stderr=subprocess.PIPE, text=True, cwd=tmp_path, check=False
    )
    os.close(writing)
    assert done.returncode == 1
    told = r"gradgate: standard output: .*; nothing else is shown\n"
    assert re.fullmatch(rf"gradgate: nowhere.py: no such file\n{told}0\n{told}", done.stderr)


def test_a_case_that_can_not_be_saved_is_a_line(capsys):
    Path("mine.py").write_text(WRONG, encoding="utf-8")
    Path("folder.npz").mkdir()
    assert main(["mine.py:f", "--cases", "8", "--save", "folder.npz"]) == 1
    printed = capsys.readouterr()
    assert printed.out.endswith("FAIL\n")
    assert printed.err == "gradgate: --save folder.npz: Is a directory\n"


BUFFERS = """
import numpy as np
from numpy_impl import loss_and_grads
class Net:
    def __init__(self):
        self.buffers = {}
    def __call__(self, *arrays):
        loss, grads = loss_and_grads(*arrays)
        for name, grad in zip("abcd", grads, strict=True):
            self.buffers[name, grad.shape] = buffer = self.buffers.get((name, grad.shape), np.empty(grad.shape))
            buffer[...] = 3 * grad
        return loss, [self.buffers[name, grad.shape] for name, grad in zip("abcd", grads, strict=True)]
f = Net()
"""


def test_buffers_that_are_used_again_are_saved_as_they_were(capsys):
    Path("mine.py").write_text(BUFFERS, encoding="utf-8")
    assert main(["mine.py:f", "--cases", "8", "--save", "case.npz", "--format", "json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)["candidates"]
    with np.load("case.npz") as file:
        saved = dict(file)
    name, yours = re.match(r"dL/d(\w+)\[.*?\]: yours ([-\d.e]+),", found["failure"]["message"]).groups()
    assert float(yours) in saved[f"candidate_dL_d{name}"]
    np.testing.assert_allclose(saved["candidate_dL_dW2"], 3 * saved["autograd_dL_dW2"], rtol=1e-12)
    assert {finding["name"] for finding in found["diagnosis"]} == {"3"}


@pytest.mark.parametrize(
    "options",
    [
        ["--max-batch", "1000000000"],
        ["--hidden", "1000000000"],
        ["--inputs", "1..1000000000000"],
        ["--hidden", "1000000", "--outputs", "1000000"],
    ],
)
def test_absurd_sizes_are_refused_with_the_memory_they_would_take(write, options, capsys):
    write("")
    assert main(["mine.py:f", *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    needed, has = re.fullmatch(
        r"gradgate: these .* would take ([\d,]+) GiB of memory, this machine has ([\d,]+) GiB; name smaller ones", line
    ).groups()
    assert int(needed.replace(",", "")) > int(has.replace(",", "")) == round(machine_memory() / 2**30)


def test_an_absurd_batch_of_a_reference_is_refused(capsys):
    Path("big.py").write_text(REFERENCE.replace("import config", "").replace("config.outputs", "1"), encoding="utf-8")
    Path("mine.py").write_text(LINEAR, encoding="utf-8")
    Path("config.py").write_text("factor = 2", encoding="utf-8")
    assert main(["mine.py:f", "--reference", "big.py:make", "--max-batch", "10000000000"]) == 2
    assert "gradgate: a batch of 10000000000 would take" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["0", "-1", "x", "1e9", "nan"])
def test_a_timeout_is_some_seconds(seconds, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["mine.py:f", f"--timeout={seconds}"])
    assert f"--timeout: '{seconds}', expected seconds, more than 0" in capsys.readouterr().err


def test_nothing_that_it_says_has_power_over_the_terminal(write, capsys):
    write("raise ValueError('\\x1b[2J\\u202e' * 1000)", name="mine.py")
    assert main(["mine.py:f", "--cases", "8"]) == 1
    shown = capsys.readouterr().out
    assert r"raised ValueError: \x1b[2J\u202e\x1b[2J" in shown
    assert shown.isprintable() or set(filter(lambda c: not c.isprintable(), shown)) == {"\n"}
    assert max(map(len, shown.splitlines())) < 1500


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
    code = "import atexit, os, signal, sys; atexit.register(os.kill, os.getpid(), signal.SIGINT)\n"
    code += "from torch_ref.__main__ import main; sys.argv[1:] = ['--version']; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603
    assert (done.returncode, done.stderr) == (0, "")
