"""The command line: each option does what it says, and what can't be used is refused."""

import re
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from torch_ref.command.main import main

NUMPY = "numpy_impl:loss_and_grads"


OPTIONS = {
    "--cases": (["--cases", "12"], r"12 ordinary .*\n(.*\n)*3 saturated"),
    "--dtype": (["--dtype", "float32", "--cases", "8"], r"in float32 roundings .*\n8 ordinary"),
    "--reduction": (["--reduction", "sum", "--cases", "8"], r"binary_cross_entropy, sum"),
    "--time": (
        ["--time", "--cases", "8"],
        r"a call.*\n(  batch=\d+ in=.* [\d,.]+ µs, autograd [\d,.]+ µs\n){3}",
    ),
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


def test_help_fits_a_screen(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert len(capsys.readouterr().out.splitlines()) <= 45


def test_the_version_is_shown_and_nothing_else(capsys):
    assert main(["nowhere.py", "--version"]) == 0
    assert capsys.readouterr().out == f"gradgate {version('gradgate')}\n"


def test_the_built_in_candidate_is_of_its_own_network_only(capsys):
    assert main(["--activation", "tanh"]) == 2
    assert "numpy_impl:loss_and_grads is of a sigmoid and bce; name a candidate" in capsys.readouterr().err


def test_a_page_without_matplotlib_is_refused_with_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main([NUMPY, "--html", "page.html"]) == 2
    said = "--html page.html: needs matplotlib, which is not installed; pip install matplotlib"
    assert capsys.readouterr().err == f"gradgate: {said}\n"


def test_no_name_to_judge_is_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        main([NUMPY, "--only", ""])
    assert "--only: '', expected names, as in W1,B2" in capsys.readouterr().err
