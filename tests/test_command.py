"""The commands, and the README that shows what they print."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import numpy_impl.__main__
import torch_ref.__main__
from numpy_impl import loss_and_grads
from torch_ref.gate import check

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks():
    """The README's console blocks: the command after the $ and what it prints."""
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL):
        command, _, output = block.partition("\n")
        yield command.removeprefix("$ "), output


def layout(text):
    """Rounding differs between machines, and releases between days: words, tables and counts do not."""
    text = re.sub(r"(\d\.\d{8})\d+", r"\1", text)  # the article's figures, to eight decimals
    text = re.sub(r"\d+\.\d+\.\d+\S*|\d+\.\d+e[-+]\d+|\b\d+\.\d\b", "#", text)
    return [line.split() for line in text.strip().splitlines()]


@pytest.fixture(scope="module")
def gradgate():
    return subprocess.run([sys.executable, "-m", "torch_ref"], capture_output=True, text=True, check=False)  # our own


def test_gradgate_agrees_and_exits_0(gradgate):
    assert (gradgate.returncode, gradgate.stderr) == (0, "")
    assert gradgate.stdout.endswith("\nPASS\n")
    assert gradgate.stdout.count("100 ordinary") == 2 * 5
    assert gradgate.stdout.count("25 saturated") == 2 * 5
    assert gradgate.stdout.count("  match") == 2 * 2 * 5


def test_gradgate_exits_1_when_a_gradient_is_wrong(monkeypatch, capsys):
    def wrong(*arrays, reduction="mean"):
        loss, (dW1, dB1, dW2, dB2) = loss_and_grads(*arrays, reduction=reduction)
        return loss, (dW1, dB1 * (1 + 1e-9), dW2, dB2)

    monkeypatch.setattr(torch_ref.__main__.numpy_impl, "loss_and_grads", wrong)
    assert torch_ref.__main__.main() == 1
    printed = capsys.readouterr().out
    assert re.search(r"float64 +100 ordinary +dL/dB1 .* \d+ of 100 differ", printed)
    assert re.search(r"float64 +100 ordinary +dL/dW1 .* match", printed)
    assert printed.endswith("FAIL\n")


def test_gradgate_exits_1_when_the_lockstep_run_drifts(monkeypatch, capsys):
    monkeypatch.setattr(torch_ref.__main__, "check", lambda *a, **k: check(*a, **k | {"cases": 5}))
    monkeypatch.setattr(torch_ref.training.training, "loss_and_grads", drifting)
    assert torch_ref.__main__.main() == 1
    assert "FAIL" in capsys.readouterr().out


def drifting(*arrays, reduction):
    loss, grads = loss_and_grads(*arrays, reduction=reduction)
    return loss, [grad * (1 + 1e-7) for grad in grads]


def test_the_readme_shows_what_gradgate_prints(gradgate):
    shown = next(output for command, output in blocks() if command.endswith("bin/gradgate"))
    assert layout(shown) == layout(gradgate.stdout)


def test_the_readme_shows_what_the_article_reproduction_prints(capsys):
    numpy_impl.__main__.main()
    shown = next(output for command, output in blocks() if command.endswith("-m numpy_impl"))
    assert layout(shown) == layout(capsys.readouterr().out)


def test_ci_runs_the_commands_that_the_readme_gives():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    commands = [command for command, _ in blocks() if "nightly" not in command]
    assert len(commands) == 4
    for command in commands:
        assert command in script


def test_the_readmes_python_runs():
    for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        namespace = {}
        exec(code, namespace)  # noqa: S102  # our own
        for name, value in namespace.items():
            if name.startswith("test_"):
                value()
