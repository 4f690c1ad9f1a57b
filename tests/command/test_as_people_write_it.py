"""The command on code as people write it: a file with one function, pairs, layouts, steps, --only and --case."""

import json
import shlex
import textwrap

import numpy as np
import pytest

from tests.command.people import CLASSIC, LAYERS, OPERATORS
from torch_ref.command.main import main

TITLE = "Sequential(Linear, Sigmoid, Linear, Sigmoid), binary_cross_entropy, mean"


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])

    def write(name, code):
        (tmp_path / name).write_text(textwrap.dedent(code), encoding="utf-8")

    write("classic.py", CLASSIC)
    write("layers.py", LAYERS)
    write("ops.py", OPERATORS)
    return write


@pytest.mark.usefixtures("write")
@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["classic.py:backprop"], 0, "takes its arrays as inputs (batch, in), W1 (in, hidden), B1 (hidden,)"),
        (["classic.py:backprop"], 0, "returns no loss: the gradients alone are judged"),
        (["classic.py:backprop", "--layout", "(in, batch) (in, hidden) (hidden,)"], 1, "of 12 break the contract"),
        (["classic.py:step", "--step"], 0, "PASS"),
        (["classic.py:rebinds", "--step"], 1, "changed no parameter and returned none, expected the new ones"),
        (["classic.py:half_done", "--only", "W2"], 0, "PASS"),
        (["classic.py:half_done"], 1, "returned no gradient dL/dW1 among dW2"),
        (["classic.py:wrong"], 1, "dL/dW1: 2 × autograd's"),
        (["classic.py:wrong", "--only", "W2,B1"], 0, "PASS"),
    ],
)
def test_it_gets_a_verdict(words, status, says, capsys):
    assert main([*words, "--cases", "12"]) == status
    assert says in capsys.readouterr().out


@pytest.mark.usefixtures("write")
def test_operators_get_one_in_every_form(capsys):
    names = ["layers.py:forward,backward", "layers.py:both", "layers.py:dot", "ops.py:Dot.apply"]
    names += ["ops.py:NeedsBoth"]
    assert main([*names, "--reference", "ops.py:make", "--cases", "5", "--format", "json"]) == 1
    candidates = json.loads(capsys.readouterr().out)["candidates"]
    assert {candidate["name"] for candidate in candidates if candidate["verdict"] == "pass"} == {*names[:-1]}
    assert candidates[-1]["diagnosis"][0]["name"] == "needs_input_grad"


def test_a_file_stands_for_its_only_function(write, capsys):
    alone = CLASSIC.partition("    def step")[0]
    write("one.py", alone.replace("def sigmoid", "def _sigmoid").replace(" sigmoid(", " _sigmoid("))
    assert main(["one.py", "--cases", "5"]) == 0
    assert "\none.py:backprop against autograd of " in capsys.readouterr().out
    write("pair.py", LAYERS.partition("    def both")[0])
    write("make.py", OPERATORS.partition("    make_other")[0])
    assert main(["pair.py", "--reference", "make.py", "--cases", "5"]) == 0
    assert "\npair.py:forward,backward against autograd of make.py:make\n" in capsys.readouterr().out
    assert main(["classic.py", "--cases", "5"]) == 2
    assert "classic.py: which of backprop, half_done, wrong; expected classic.py:backprop" in (capsys.readouterr().err)


@pytest.mark.usefixtures("write")
def test_a_saved_case_is_run_again_and_nothing_else(capsys):
    assert main(["classic.py:wrong", "--cases", "12", "--save", "case.npz"]) == 1
    capsys.readouterr()
    again = ["--case", "case.npz", "--layout", "(batch, in) (in, hidden) (hidden,)"]
    assert main(["classic.py:wrong", *again, "--format", "json"]) == 1
    (candidate,) = json.loads(capsys.readouterr().out)["candidates"]
    assert candidate["ordinary"]["cases"] == 1
    assert candidate["failure"]["reproduce"].endswith(" --case case.npz")
    assert candidate["ordinary"]["tensors"]["W1"]["failed"] == 1
    assert main(["classic.py:backprop", *again, "--dtype", "float64"]) == 0
    assert main(["classic.py:backprop", *again, "--dtype", "float32"]) == 2
    assert "--dtype float32: case.npz is a case in float64; leave it out" in capsys.readouterr().err
    with np.load("case.npz") as saved:
        np.savez("other.npz", **{name: saved[name] for name in saved if name != "W1"})
    np.savez("foreign.npz", a=np.array([None]))
    np.savez("named.npz", case=np.array("[1]"))
    for file in ("other.npz", "foreign.npz", "named.npz", "classic.py"):
        assert main(["classic.py:backprop", "--case", file]) == 2
        assert capsys.readouterr().err == f"gradgate: --case {file}: not a case saved by --save of {TITLE}\n"


@pytest.mark.usefixtures("write")
def test_a_saved_case_is_of_the_options_it_was_saved_with(capsys):
    """They are told after --save, and demanded with --case."""
    tanh, reference = ["--activation", "tanh", "--loss", "mse"], ["--reference", "ops.py:make"]
    assert main(["classic.py:backprop", *tanh, "--cases", "5", "--save", "tanh.npz"]) == 1
    layout = "--layout 'inputs (batch, in), W1 (in, hidden), B1 (hidden,)'"
    again = f"gradgate classic.py:backprop {layout} --activation tanh --loss mse --case tanh.npz"
    assert capsys.readouterr().err == f"gradgate: tanh.npz is written; to run it again: {again}\n"
    assert main(shlex.split(again)[1:]) == 1
    assert f"To see it again: {again}\n" in capsys.readouterr().out
    assert main(["layers.py:wrong", *reference, "--cases", "5", "--save", "dot.npz"]) == 1
    assert capsys.readouterr().err.endswith(": gradgate layers.py:wrong --reference ops.py:make --case dot.npz\n")
    for words, says in {
        ("tanh.npz",): "with --activation tanh --loss mse; say the same here",
        ("tanh.npz", *tanh, "--layout", "(batch, in) (in, hidden) (1, hidden)"): f"with {layout}; say the same here",
        ("tanh.npz", *tanh, *shlex.split(layout), "--step"): "without --step; say the same here",
        ("tanh.npz", *reference): f"with {' '.join(tanh)} --reduction mean {layout} and without --reference; say",
        ("dot.npz",): "with --reference ops.py:make; say the same here",
        ("dot.npz", "--reference", "ops.py:make_other"): "with --reference ops.py:make; say the same here",
    }.items():
        candidate = "layers.py:wrong" if "--reference" in words else "classic.py:backprop"
        assert main([candidate, "--case", *words]) == 2
        assert f"--case {words[0]}: was saved {says}" in capsys.readouterr().err


@pytest.mark.usefixtures("write")
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["classic.py:step", "--step", "--strict"], "--strict: with --step there are no saturated cases"),
        (["classic.py:backprop", "--only", "W7"], "only: 'W7', expected one of loss, W1, B1, W2, B2"),
        (["classic.py:backprop", "--layout", "rows"], "layout: 'rows', expected the shapes of inputs, W1 and B1"),
        (["classic.py:backprop", "--case", "nowhere.npz"], "--case nowhere.npz: no such file"),
        (["layers.py:both", "--reference", "ops.py:make", "--step"], "--step: of the two-layer network"),
        (["ops.py:Dot"], "ops.py:Dot: a torch.autograd.Function is checked against an Operator; say --reference"),
        (["layers.py:forward,backward"], "a pair of functions is checked against an Operator; say --reference file"),
        (["--step"], "--layout and --step: numpy_impl:loss_and_grads has neither; name a candidate"),
    ],
)
def test_what_can_not_be_is_refused_in_a_line(words, says, capsys):
    assert main([*words, "--cases", "5"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert says in printed.err
    assert printed.err.count("\n") == 1
