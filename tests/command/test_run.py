"""What else a run of the command does: it takes a reference, and saves what fails."""

import re
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from torch_ref.command.main import main

NUMPY = "numpy_impl:loss_and_grads"


def test_save_writes_the_smallest_failing_case(mine, capsys):
    assert main([mine, "--save", "case.npz"]) == 1
    with np.load("case.npz") as saved:
        assert saved["inputs"].shape == (2, 1)
        assert {"targets", "W1", "B1", "W2", "B2", "autograd_loss", "candidate_dL_dW1"} <= set(saved)
        np.testing.assert_allclose(saved["candidate_dL_dB1"] * 2, saved["autograd_dL_dB1"], rtol=1e-12)
    capsys.readouterr()
    assert main([mine, "--case", "case.npz"]) == 1
    assert "averaged" in capsys.readouterr().out  # what the mistake is, of a saved case too
    assert main([NUMPY, "--cases", "8", "--save", "none.npz"]) == 0
    assert "nothing failed" in capsys.readouterr().err
    assert not Path("none.npz").exists()


NET = """
    from torch import nn
    from torch_ref import Reference, TwoLayers

    def draw(rng, batch):
        return rng.standard_normal((batch, 3)), rng.standard_normal((batch, 2))

    def make_reference():
        return Reference(nn.Linear(3, 2), nn.functional.mse_loss, draw, batch=(2, 9))

    def make_two_layers():
        return TwoLayers(activation="tanh", loss="mse")

    def make_nothing(): ...
    def needs(argument): ...
    def exits(): raise SystemExit(5)
    def dropout():
        return Reference(nn.Sequential(nn.Linear(3, 2), nn.Dropout()), nn.functional.mse_loss, draw)
"""
BY_HAND = """
    import numpy as np

    def two_layers(x, t, W1, B1, W2, B2):
        if len(x) > 5:
            raise ValueError("a batch of more than 5")
        S1 = np.tanh(W1 @ x.T + B1)
        S2 = 1 / (1 + np.exp(-(W2 @ S1 + B2)))
        dG2 = 2 * (S2 - t.T) * S2 * (1 - S2) / t.size
        dG1 = W2.T @ dG2 * (1 - S1**2)
        grads = dG1 @ x, dG1.sum(1, keepdims=True), dG2 @ S1.T, -dG2.sum(1, keepdims=True)
        return ((S2 - t.T) ** 2).mean(), grads

    def right(x, t, W, b):
        y = x @ W.T + b
        dy = 2 * (y - t) / y.size
        return ((y - t) ** 2).mean(), (dy.T @ x, dy.sum(0))

    def wrong(x, t, W, b):
        loss, (dW, db) = right(x, t, W, b)
        return loss, (dW, 2 * db)
"""


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A file of references, and one of candidates: it has no torch to import in a process of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    for name, code in (("net_of_mine", NET), ("by_hand", BY_HAND)):
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(code), encoding="utf-8")
    yield
    sys.modules.pop("net_of_mine", None)


MAKE = "net_of_mine.py:make_reference"


@pytest.mark.usefixtures("files")
def test_the_command_takes_a_reference(capsys):
    assert main(["by_hand.py:right", "--reference", MAKE, "--cases", "12"]) == 0
    printed = capsys.readouterr().out
    assert f"by_hand.py:right against autograd of {MAKE}\n" in printed
    assert re.findall(r"^  (\S+) .* match", printed, re.MULTILINE) == ["loss", "dL/dweight", "dL/dbias"]
    assert "saturated" not in printed
    again = f"gradgate by_hand.py:wrong --reference {MAKE} --max-batch 5 --cases 12"
    assert main(again.split()[1:]) == 1
    printed = capsys.readouterr().out
    assert "dL/dbias: 2 × autograd's" in printed
    assert "[seed=0 batch=2 float64]" in printed
    assert f"To see it again: {again}\n" in printed
    assert main(["by_hand.py:right", "--reference", MAKE, "--cases", "1", "--format", "json"]) == 0
    assert '"model": "Linear"' in capsys.readouterr().out


@pytest.mark.usefixtures("files")
def test_a_reference_of_two_layers_honours_the_largest_batch_and_its_command_works(capsys):
    again = "gradgate by_hand.py:two_layers --reference net_of_mine.py:make_two_layers --max-batch 5 --cases 5"
    assert main(again.split()[1:]) == 1
    printed = capsys.readouterr().out
    assert f"To see it again: {again}\n" in printed
    assert "dL/dB2: -1 × autograd's" in printed
    assert "a batch of more than 5" not in printed
    assert main(again.split()[1:]) == 1
    assert capsys.readouterr().out == printed
    again = again.replace("--max-batch 5 --cases 5", "--cases 1 --timeout 30")  # the batch is left as it is
    assert main(again.split()[1:]) == 1
    printed = capsys.readouterr().out
    assert re.search(r"^1 ordinary case( |$)", printed, re.MULTILINE)
    assert f"To see it again: {again}\n" in printed


BAD = {
    "with a width": (["right", "--hidden", "3"], "--hidden: of the two-layer network, not of another reference"),
    "with a loss": (["right", "--loss", "mse"], "--loss: of the two-layer network, not of another reference"),
    "no candidate": ([], "--reference net_of_mine.py:make_reference: name a candidate to check against it"),
    "no Reference": (["right", "--reference", "make_nothing"], "make_nothing: returned a NoneType, expected a Refer"),
    "raises": (["right", "--reference", "needs"], "net_of_mine.py:needs: raised TypeError: needs.. missing 1 required"),
    "exits": (["right", "--reference", "exits"], "net_of_mine.py:exits: raised SystemExit: 5"),
    "empty": (["right", "--reference", ""], ": expected package.module:function or path/to/file.py:function"),
    "not there": (["right", "--reference", "nowhere"], "net_of_mine.py:nowhere: no such function; net_of_mine.py has"),
    "which": (["right", "--reference", "net_of_mine.py"], "which of dropout, exits, make_nothing, make_"),
    "unusable": (["right", "--reference", "dropout"], "reference: loss is another one each time: is dropout active"),
}  # fmt: skip  # one a line


@pytest.mark.parametrize(("words", "message"), BAD.values(), ids=BAD)
@pytest.mark.usefixtures("files")
def test_a_reference_that_is_no_use_exits_2_with_a_line(words, message, capsys):
    makes = ("make_nothing", "needs", "nowhere", "dropout", "exits")
    where = {"right": "by_hand.py:right"} | {name: f"net_of_mine.py:{name}" for name in makes}
    assert main(["--reference", MAKE, *(where.get(word, word) for word in words)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert re.search(message, printed.err)
    assert printed.err.count("\n") == 1
