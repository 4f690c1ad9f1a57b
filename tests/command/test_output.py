"""What the command writes: lost outputs, files that can not be written, sizes and texts of no sense."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.command.test_robust import LINEAR, REFERENCE, WRONG
from torch_ref.candidate.child import machine_memory
from torch_ref.command.main import main

pytestmark = pytest.mark.usefixtures("elsewhere")

JUDGED = """
import os, sys
from torch_ref.command.main import main

def lose(output):
    os.dup2(os.open(output, os.O_CREAT | os.O_WRONLY), 2)
    if output == "closed":
        os.close(1)
        sys.stdout = None  # as Python starts then
        return
    reading, writing = os.pipe()
    os.close(reading)
    os.dup2(writing if output == "nobody reads" else os.open("/dev/full", os.O_WRONLY), 1)

main(["nowhere.py:f"])
import torch_ref.command.run  # most of the time goes into this
for output in sys.argv[1:]:
    if not os.fork():
        lose(output)
        main(["nowhere.py:f"])
        break
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
else:
    if sys.argv[1:]:
        sys.exit()
if not os.fork():
    sys.exit(main(["right.py:f", "--cases", "8"]))
print(os.waitstatus_to_exitcode(os.wait()[1]), file=sys.stderr)
sys.exit(main(["wrong.py:f", "--cases", "8"]))
"""
BY_A_COPY = "nobody reads", "closed", "full"


@pytest.fixture(scope="module")
def lost(tmp_path_factory):
    """The exit status, and what is told on standard error where nothing can be told on standard output.

    A process is judged by itself that starts without it, and without standard input; copies of another one lose it.
    """
    folder = tmp_path_factory.mktemp("lost")
    (folder / "wrong.py").write_text(WRONG, encoding="utf-8")
    (folder / "right.py").write_text(WRONG.replace("2 * ", ""), encoding="utf-8")
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}  # lost at the very end
    options = {"capture_output": True, "text": True, "cwd": folder, "env": env}
    python = [sys.executable, "-W", "ignore", "-c", JUDGED]
    copied = subprocess.run([*python, *BY_A_COPY], check=True, **options)  # noqa: S603  # our own
    statuses = zip(BY_A_COPY, copied.stdout.split(), strict=True)
    found = {output: (int(status), (folder / output).read_text(encoding="utf-8")) for output, status in statuses}
    without = ["sh", "-c", 'exec 0<&- 1>&-; exec "$@"', "sh"]
    done = subprocess.run([*without, *python], check=False, **options)  # noqa: S603  # our own
    return {**found, "with the input": (done.returncode, done.stderr)}


@pytest.mark.parametrize("output", ["with the input", *BY_A_COPY])
def test_a_lost_output_is_a_line_and_the_verdict_keeps_its_status(lost, output):
    status, told = lost[output]
    assert status == 1
    lines = r"gradgate: standard output: .*; nothing else is shown\n"
    assert re.fullmatch(rf"gradgate: nowhere.py: no such file\n{lines}0\n{lines}", told)


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
