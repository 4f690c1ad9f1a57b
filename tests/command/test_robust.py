"""The command, whatever a candidate does: it ends, dirties its process, or is called as something of ours is."""

import json
import re
import sys
from pathlib import Path

import pytest

from tests.command.running import run
from torch_ref.command.main import main

pytestmark = pytest.mark.usefixtures("elsewhere")

WRONG = "from numpy_impl import loss_and_grads as right\ndef f(*arrays):\n    loss, g = right(*arrays)\n"


WRONG += "    return loss, (2 * g[0], *g[1:])\n"


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


def test_a_network_of_the_users_own_breaks_nothing(capsys):
    Path("numpy_impl.py").write_text(WRONG.replace("from numpy_impl import loss_and_grads as right", ""), "utf-8")
    own = Path("numpy_impl.py").read_text(encoding="utf-8")
    Path("numpy_impl.py").write_text(
        f"def right(*arrays): return 0.0, [0 * array for array in arrays[2:]]\n{own}", encoding="utf-8"
    )
    Path("mine.py").write_text("from numpy_impl import f", encoding="utf-8")
    main(["mine.py:f", "numpy_impl:f", "--cases", "5", "--format", "json"])  # theirs, which is wrong, and not ours
    found = json.loads(capsys.readouterr().out)["candidates"]
    assert [candidate["verdict"] for candidate in found] == ["fail", "fail"]
    assert run("--cases", "5").returncode == 0  # ours, in a process that starts beside theirs
