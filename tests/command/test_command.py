"""The commands, and the README that shows what they print."""

import io
import json
import os
import re
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

import numpy_impl.__main__
from numpy_impl import loss_and_grads, training, xor
from torch_ref import Shapes, check
from torch_ref.command.main import main
from torch_ref.command.progress import Progress
from torch_ref.report.document import command_of

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
NUMPY = "numpy_impl:loss_and_grads"


def blocks():
    """The README's console blocks: the command after the $ and what it prints."""
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL):
        command, _, output = block.partition("\n")
        yield command.removeprefix("$ "), output


def layout(text):
    """Rounding differs between machines, and releases between days: words, tables and counts do not."""
    text = re.sub(r"\d+\.\d+\.\d+[^\s,]*|-?\d+\.\d+(e[-+]\d+)?\b", "#", text)
    # Another release of Hypothesis draws other cases: then a README made with this one has other counts.
    drawn_alike = f"hypothesis {version('hypothesis')}\n" in README
    vary = "saturated" if drawn_alike else ""
    lines = [re.sub(r"\d+", "#", line) if vary in line else line for line in text.strip().splitlines()]
    return [line.split() for line in lines]


@pytest.fixture(scope="module")
def gradgate():
    return subprocess.run([sys.executable, "-m", "torch_ref"], capture_output=True, text=True, check=False)


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """The README's example of a mistake, in a file of its own."""
    (code,) = re.findall(r"```python\n# mine.py\n(.*?)```", README, re.DOTALL)
    (tmp_path / "mine.py").write_text(code, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    yield "mine.py:loss_and_grads"
    for name in [name for name in sys.modules if name.startswith("mine")]:
        del sys.modules[name]


def test_gradgate_agrees_and_exits_0(gradgate):
    assert (gradgate.returncode, gradgate.stderr) == (0, "")
    assert gradgate.stdout.endswith("\nPASS\n")
    assert gradgate.stdout.count("100 ordinary") == 2 * 5
    assert gradgate.stdout.count("25 saturated") == 2 * 5
    assert gradgate.stdout.count("  match") == 2 * (2 * 5 + 1)
    assert gradgate.stdout.count("1 beyond the ranges  (all)") == 2


def wrong(*arrays, reduction="mean"):
    loss, (dW1, dB1, dW2, dB2) = loss_and_grads(*arrays, reduction=reduction)
    return loss, (dW1, dB1 * (1 + 1e-9), dW2, dB2)


def test_gradgate_exits_1_when_the_built_in_pair_disagrees(monkeypatch, capsys):
    monkeypatch.setattr(numpy_impl, "loss_and_grads", wrong)
    assert main([]) == 1
    printed = capsys.readouterr().out
    assert re.search(r"float64 +100 ordinary +dL/dB1 .* \d+ of 100 differ", printed)
    assert re.search(r"float64 +100 ordinary +dL/dW1 .* match", printed)
    assert printed.endswith("FAIL\n")


def test_gradgate_exits_1_when_the_lockstep_run_drifts(monkeypatch, capsys):
    def drifting(*arrays, reduction):
        loss, grads = loss_and_grads(*arrays, reduction=reduction)
        return loss, [grad * (1 + 1e-7) for grad in grads]

    monkeypatch.setattr(training, "loss_and_grads", drifting)
    assert main(["--cases", "5"]) == 1
    assert capsys.readouterr().out.endswith("FAIL\n")


def test_fix_what_it_says_and_it_is_green(mine, capsys):
    assert main([mine]) == 1
    assert "dL/dB1: 1/batch × autograd's (averaged over the batch" in capsys.readouterr().out
    assert {path.name for path in Path.cwd().iterdir()} <= {"mine.py", "__pycache__"}
    fixed = Path("mine.py").read_text(encoding="utf-8").replace("dL_dG1.mean(", "dL_dG1.sum(")
    Path("fixed.py").write_text(fixed, encoding="utf-8")
    assert main(["fixed.py:loss_and_grads"]) == 0
    assert capsys.readouterr().out.endswith("PASS\n")


def test_the_same_seed_prints_the_same(mine, capsys):
    printed = [main([mine, "--cases", "20", "--seed", seed]) and capsys.readouterr().out for seed in ("3", "3", "4")]
    assert printed[0] == printed[1] != printed[2]


def test_strict_makes_saturated_cases_count():
    code = re.search(r"```python\n# mine.py\n(.*?)```", README, re.DOTALL)[1].replace("mean(axis=1", "sum(axis=1")
    namespace = {}
    exec(code, namespace)  # noqa: S102  # the README's own
    assert check(namespace["loss_and_grads"], cases=40).passed
    assert not check(namespace["loss_and_grads"], cases=40, strict=True).passed


OPTIONS = {
    "--cases": (["--cases", "12"], r"12 ordinary .*\n(.*\n)*.* 3 saturated"),
    "--dtype": (["--dtype", "float32", "--cases", "8"], r"float32  8 ordinary"),
    "--reduction": (["--reduction", "sum", "--cases", "8"], r"binary_cross_entropy, sum"),
    "--time": (["--time", "--cases", "8"], r"time    [\d.]+ µs a call .* autograd [\d.]+ µs a call"),
}


@pytest.mark.parametrize(("options", "expected"), OPTIONS.values(), ids=OPTIONS)
def test_an_option_does_what_it_says(options, expected, capsys):
    assert main([NUMPY, *options]) == 0
    assert re.search(expected, capsys.readouterr().out)


SEES = """
from pathlib import Path
from numpy_impl import loss_and_grads

def f(*arrays):
    with Path("seen.txt").open("a") as file:
        print(len(arrays[0]), arrays[0].shape[1], len(arrays[2]), len(arrays[4]), file=file)
    return loss_and_grads(*arrays)
"""


def test_widths_and_batches_stay_within_their_ranges(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("sees.py").write_text(SEES, encoding="utf-8")
    options = ["--max-batch", "9", "--inputs", "2..3", "--hidden", "4", "--outputs", "1..2", "--cases", "40"]
    assert main(["sees.py:f", *options]) == 0
    seen = [map(int, line.split()) for line in Path("seen.txt").read_text(encoding="utf-8").splitlines()]
    batches, inputs, hidden, outputs = map(set, zip(*seen, strict=True))
    assert max(batches) == 9
    assert (inputs, hidden, outputs) == ({2, 3}, {4}, {1, 2})


BAD = {
    "no such file": (["nowhere.py:f"], "gradgate: nowhere.py: no such file"),
    "no such option value": ([NUMPY, "--dtype", "float16"], "invalid choice: 'float16'"),
    "no cases": ([NUMPY, "--cases", "0"], "--cases: '0', expected a whole number of 1 or more"),
    "a negative seed": ([NUMPY, "--seed=-1"], "--seed: '-1', expected a whole number of 0 or more"),
    "no range": ([NUMPY, "--hidden", "2-5"], "'2-5', expected a width such as 3, or a range such as 2..5"),
    "an empty range": ([NUMPY, "--hidden", "5..2"], "gradgate: hidden: from 5 to 2, expected"),
    "no .npz": ([NUMPY, "--save", "case.txt"], "--save case.txt: expected a name that ends in .npz"),
    "nowhere to save": ([NUMPY, "--save", "no/where/case.npz"], "--save no/where/case.npz: no such folder"),
}  # fmt: skip  # one a line


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD)
def test_a_command_line_that_is_no_use_exits_2_with_a_line(arguments, message, capsys):
    try:
        status = main(arguments)
    except SystemExit as exit_:  # argparse
        status = exit_.code
    assert status == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err.splitlines()[-1]


def test_help_fits_a_screen(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert len(capsys.readouterr().out.splitlines()) <= 40


def test_save_writes_the_smallest_failing_case(mine, capsys):
    assert main([mine, "--save", "case.npz"]) == 1
    saved = np.load("case.npz")
    assert saved["inputs"].shape == (2, 1)
    assert {"targets", "W1", "B1", "W2", "B2", "autograd_loss", "candidate_dL_dW1"} <= set(saved)
    np.testing.assert_allclose(saved["candidate_dL_dB1"] * 2, saved["autograd_dL_dB1"], rtol=1e-12)
    assert main([NUMPY, "--cases", "8", "--save", "none.npz"]) == 0
    assert "nothing failed" in capsys.readouterr().err
    assert not Path("none.npz").exists()


def test_several_candidates_stand_side_by_side(mine, capsys):
    assert main([mine, NUMPY, "--cases", "20", "--time"]) == 1
    shown = capsys.readouterr().out
    header, *lines = [line for line in shown.splitlines() if re.match(r"cases|ordinary|  .* time", line)]
    assert all("(does not count)" in line for line in shown.splitlines() if line.startswith("saturated"))
    assert re.split(r"  +", header) == ["cases", "tensor", mine, NUMPY, "autograd"]
    cells = {re.split(r"  +", line)[1]: re.split(r"  +", line) for line in lines}
    assert re.fullmatch(r"\d+ of 20 differ, .* u max\|g\|", cells["dL/dB1"][2])
    assert re.fullmatch(r"match, .* u max\|g\|", cells["dL/dB1"][3])
    assert re.fullmatch(r"± .* u max\|g\|", cells["dL/dB1"][4])
    assert len(cells["time"]) == 5


def test_json_is_the_documented_interface(mine, capsys):
    assert main([mine, NUMPY, "--format", "json", "--cases", "20", "--time"]) == 1
    document = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert list(document) == ["reference", "settings", "candidates", "verdict", "interrupted", "lockstep"]
    assert (document["verdict"], document["interrupted"], document["lockstep"]) == ("fail", False, None)
    assert set(document["reference"]) == {
        "gradgate", "python", "numpy", "torch", "hypothesis", "model", "loss", "seconds_per_call"
    }  # fmt: skip
    assert document["reference"]["seconds_per_call"] > 0
    assert set(document["settings"]) == {
        "cases", "seed", "dtype", "activation", "loss", "reduction", "batch", "inputs", "hidden", "outputs", "strict",
        "layout",
    }  # fmt: skip
    bad, good = document["candidates"]
    for candidate in bad, good:
        assert set(candidate) == {
            "name", "dtype", "verdict", "interrupted", "ordinary", "saturated", "failure", "diagnosis", "notes",
            "seconds_per_call", "asides",
        }  # fmt: skip
        for kind, cases in ("ordinary", 20), ("saturated", 5):
            assert set(candidate[kind]) == {"cases", "failed", "vacuous", "tensors"}
            assert candidate[kind]["cases"] == cases
            assert list(candidate[kind]["tensors"]) == ["loss", "W1", "B1", "W2", "B2"]
            for tensor in candidate[kind]["tensors"].values():
                assert set(tensor) == {
                    "verdict", "failed", "worst_error", "allowed", "worst_relative", "problem", "status"
                }  # fmt: skip
    assert (bad["verdict"], good["verdict"]) == ("fail", "pass")
    assert bad["ordinary"]["tensors"]["B1"]["verdict"] == "fail"
    assert bad["saturated"]["tensors"]["loss"]["worst_error"] is None  # it is infinite or NaN there
    assert good["failure"] is None
    assert good["diagnosis"] == []
    assert bad["failure"]["case"] == {"seed": 0, "batch": 2, "in": 1, "hidden": 1, "out": 1, "dtype": "float64"}
    assert bad["failure"]["reproduce"] == f"gradgate {mine} --cases 20"
    assert "dL/dB1[0, 0]: yours" in bad["failure"]["message"]
    (finding,) = bad["diagnosis"]
    assert (finding["kind"], finding["name"], finding["tensors"]) == ("factor", "1/batch", ["B1"])


def test_the_command_to_see_it_again_names_every_option_that_matters():
    options = {"cases": 9, "seed": 2, "dtype": "float32", "reduction": "sum", "strict": True}
    report = check(loss_and_grads, name="f.py:f", shapes=Shapes((1, 3), (2, 2), (1, 4), (1, 2)), **options)
    words = (
        "--max-batch 3 --reduction sum --inputs 2..2 --hidden 1..4 --outputs 1..2 --cases 9 --seed 2 --dtype float32"
    )
    assert command_of(report) == f"gradgate f.py:f {words} --strict"


def test_markdown_is_a_table_and_a_block(mine, capsys):
    assert main([mine, "--format", "markdown", "--cases", "20"]) == 1
    title, _, _, _, header, rule, *rows = capsys.readouterr().out.splitlines()
    assert title == "### gradgate: FAIL"
    assert rule == f"|{' --- |' * 8}"
    assert header.replace("\\|", "").count("|") == 9
    assert all(row.replace("\\|", "").count("|") == 9 for row in rows[:10])
    assert rows[10:13] == ["", f"**{mine}**", ""]
    assert "  - dL/dB1: 1/batch × autograd's" in "\n".join(rows)


def test_ctrl_c_ends_the_command_in_order(monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(numpy_impl, "loss_and_grads", interrupted)
    assert main([]) == 1  # the built-in candidate: it is not in a process of its own
    assert f"{NUMPY}: interrupted after 0 cases" in capsys.readouterr().out


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


@pytest.mark.usefixtures("mine")
def test_an_assertion_shows_the_report_once_and_nothing_of_hypothesis(tmp_path):
    test = "from torch_ref import assert_matches_autograd\nfrom mine import loss_and_grads\n"
    (tmp_path / "test_mine.py").write_text(f"{test}def test_it():\n    assert_matches_autograd(loss_and_grads)\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        "test_mine.py",
    ]
    # Under CI, pytest's own summary says every message a second time.
    env = {name: value for name, value in os.environ.items() if name not in ("CI", "BUILD_NUMBER")}
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=env)  # noqa: S603
    assert run.returncode == 1
    assert run.stdout.count("The smallest case that fails") == 1
    assert run.stdout.count("1/batch × autograd's") == 1
    assert not re.search("hypothesis/|Falsifying|gate.py", run.stdout)


def test_parity_tests_run_on_another_candidate(mine, tmp_path):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(ROOT / "tests" / "test_parity.py")]
    command += [f"--candidate={tmp_path / mine}", "-k", "test_matches_autograd and float64 and mean", "--no-header"]
    run = subprocess.run([*command, "-rA"], capture_output=True, text=True, check=False, cwd=ROOT)  # noqa: S603  # our own
    assert run.returncode == 1
    found = re.findall(
        r"^(PASSED|FAILED) .*test_matches_autograd\[(\w+)-ordinary-float64-mean\]", run.stdout, re.MULTILINE
    )
    verdicts = {tensor: verdict for verdict, tensor in found}
    assert verdicts == {"loss": "PASSED", "W1": "PASSED", "B1": "FAILED", "W2": "PASSED", "B2": "PASSED"}


def test_a_candidate_that_cannot_be_used_is_a_usage_error_of_pytest():
    command = [sys.executable, "-m", "pytest", "-q", "--candidate=nowhere.py:f", "tests/test_parity.py"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)  # noqa: S603  # our own
    assert run.returncode == 4
    assert "nowhere.py: no such file" in run.stderr


def test_the_readme_shows_what_gradgate_prints(gradgate):
    shown = next(output for command, output in blocks() if command.endswith("bin/gradgate"))
    assert layout(shown) == layout(gradgate.stdout)


def test_the_readme_shows_how_a_failure_reads(mine, capsys):
    assert main([mine]) == 1
    shown = next(output for command, output in blocks() if command.endswith(f"bin/gradgate {mine}"))
    assert layout(shown) == layout(capsys.readouterr().out)


def test_the_readme_shows_what_the_article_reproduction_prints(capsys):
    numpy_impl.__main__.main()
    shown = next(output for command, output in blocks() if command.endswith("-m numpy_impl"))
    eight = [re.sub(r"(\d\.\d{8})\d+", r"\1", text) for text in (shown, capsys.readouterr().out)]  # decimals
    assert eight[0] == eight[1]


def test_the_article_reproduction_says_when_xor_is_not_solved(monkeypatch, capsys):
    monkeypatch.setattr(xor, "STEPS", 1)
    numpy_impl.__main__.main()
    assert re.findall(r"XOR  +(.*?)  ", capsys.readouterr().out) == ["not solved", "not solved"]


def test_the_readmes_own_model_runs(tmp_path, monkeypatch, capsys):
    (code,) = re.findall(r"```python\n# net.py\n(.*?)```", README, re.DOTALL)
    (tmp_path / "net.py").write_text(code, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    command, shown = next(block for block in blocks() if "net.py" in block[0])
    assert main(command.split()[1:]) == 0
    assert layout(shown) == layout(capsys.readouterr().out)
    sys.modules.pop("net").test_my_network()
    Path("net.py").write_text(code.replace(" * (G1 > 0)", ""), encoding="utf-8")
    assert main(command.split()[1:]) == 1
    sys.modules.pop("net")


def test_ci_runs_the_commands_that_the_readme_gives():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    commands = [command for command, _ in blocks() if not re.search("nightly|mine.py|net.py|benchmark|mutmut", command)]
    assert len(commands) == 4
    for command in commands:
        assert command in script


def test_the_readmes_test_runs():
    (code,) = re.findall(r"```python\n(from numpy_impl.*?)```", README, re.DOTALL)
    namespace = {}
    exec(code, namespace)  # noqa: S102  # our own
    namespace["test_my_gradients"]()
