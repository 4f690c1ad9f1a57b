"""From a command line to an exit status."""

import re
from pathlib import Path

import pytest

import numpy_impl.__main__
from numpy_impl import loss_and_grads, training
from torch_ref.command.main import main
from torch_ref.command.run import RENDERERS

NUMPY = "numpy_impl:loss_and_grads"


def test_gradgate_agrees_and_exits_0(gradgate):
    assert (gradgate.returncode, gradgate.stderr) == (0, "")
    assert gradgate.stdout.endswith("\nPASS\n")
    assert gradgate.stdout.count("100 ordinary cases") == 2
    assert gradgate.stdout.count("  match\n") == 2 * (5 + 1)
    assert len(re.findall(r"^25 saturated +match \(not counted\)$", gradgate.stdout, re.MULTILINE)) == 2
    assert len(re.findall(r"^1 beyond the ranges +match$", gradgate.stdout, re.MULTILINE)) == 2


def wrong(*arrays, reduction="mean"):
    loss, (dW1, dB1, dW2, dB2) = loss_and_grads(*arrays, reduction=reduction)
    return loss, (dW1, dB1 * (1 + 1e-9), dW2, dB2)


def test_gradgate_exits_1_when_the_built_in_pair_disagrees(monkeypatch, capsys):
    monkeypatch.setattr(numpy_impl, "loss_and_grads", wrong)
    assert main([]) == 1
    printed = capsys.readouterr().out
    float64, _, float32 = printed.partition("float32")
    assert re.search(r"  dL/dB1 .* \d+ of 100 differ", float64)
    assert re.search(r"  dL/dW1 .* match", float64)
    assert "differ" not in float32  # too small to be seen there
    assert printed.endswith("FAIL\n")


def test_gradgate_exits_1_when_the_lockstep_run_drifts(monkeypatch, capsys):
    def drifting(*arrays, reduction):
        loss, grads = loss_and_grads(*arrays, reduction=reduction)
        return loss, [grad * (1 + 1e-7) for grad in grads]

    monkeypatch.setattr(training, "loss_and_grads", drifting)
    assert main(["--cases", "5"]) == 1
    assert capsys.readouterr().out.endswith("FAIL\n")


BAD = {
    "no such file": (["nowhere.py:f"], "gradgate: nowhere.py: no such file"),
    "no such option value": ([NUMPY, "--dtype", "float8"], "invalid choice: 'float8'"),
    "no cases": ([NUMPY, "--cases", "0"], "--cases: '0', expected a whole number of 1 or more"),
    "a negative seed": ([NUMPY, "--seed=-1"], "--seed: '-1', expected a whole number of 0 or more"),
    "no range": ([NUMPY, "--hidden", "2-5"], "'2-5', expected a width such as 3, or a range such as 2..5"),
    "an empty range": ([NUMPY, "--hidden", "5..2"], "hidden: from 5 to 2, expected the smaller one first: from 2 to 5"),
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


def test_ctrl_c_ends_the_command_in_order(monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(numpy_impl, "loss_and_grads", interrupted)
    assert main([]) == 1  # the built-in candidate: it is not in a process of its own
    assert f"{NUMPY}: interrupted after 0 cases" in capsys.readouterr().out


def test_ctrl_c_while_the_report_is_made_is_one_line_that_says_so(capsys, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setitem(RENDERERS, "text", interrupted)
    assert main([NUMPY, "--cases", "1"]) == 2
    said = "gradgate: interrupted after the last case, before the report was complete\n"
    assert capsys.readouterr() == ("", said)


def test_the_same_seed_prints_the_same(mine, capsys):
    printed = [main([mine, "--cases", "20", "--seed", seed]) and capsys.readouterr().out for seed in ("3", "3", "4")]
    assert printed[0] == printed[1] != printed[2]


def test_fix_what_it_says_and_it_is_green(mine, capsys):
    assert main([mine]) == 1
    assert "dL/dB1: 1/batch × autograd's (averaged over the batch" in capsys.readouterr().out
    assert {path.name for path in Path.cwd().iterdir()} <= {"mine.py", "__pycache__"}
    fixed = Path("mine.py").read_text(encoding="utf-8").replace("dL_dG1.mean(", "dL_dG1.sum(")
    Path("fixed.py").write_text(fixed, encoding="utf-8")
    assert main(["fixed.py:loss_and_grads"]) == 0
    assert capsys.readouterr().out.endswith("PASS\n")
