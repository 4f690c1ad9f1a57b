"""What the candidate's process has imported, and what the candidate's imports find."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.comparing import draw
from torch_ref.candidate import worker
from torch_ref.candidate.child import DISTURBED, Child
from torch_ref.candidate.process import Process

CASE = draw(4, 2, 3, 1, seed=0)
IMPORTED = """
import sys
from torch_ref.candidate import channel, serving, worker
print([name for name in ("torch", "hypothesis", "numpy_impl", "torch_ref.reference", "torch_ref.two_layers")
       if name in sys.modules])
"""


def test_it_imports_neither_torch_nor_hypothesis_nor_the_network():
    run = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=True)  # noqa: S603
    assert run.stdout == "[]\n"


def test_the_two_sides_mean_the_same_by_its_exit_status():
    assert worker.DISTURBED == DISTURBED


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """A function that writes files, and gives the loss that each of the candidates named gives."""
    monkeypatch.chdir(tmp_path)

    def ask(files, *names):
        for name, code in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(code, encoding="utf-8")
        return [_loss(name) for name in names]

    return ask


def _loss(name):
    with Child(name, 20.0) as child:
        return Process(child).against(("loss",), {})(CASE).arrays["loss"].item()


def gives(value):
    return f"def f(*arrays): return {value}, (0.0,) * 4\n"


def test_when_the_candidate_is_loaded_only_what_it_imports_is_there(asked):
    names = "torch", "hypothesis", "numpy_impl", "torch_ref"
    code = f"import sys\nhas = float(sum(name.partition('.')[0] in {names} for name in sys.modules))\n{gives('has')}"
    assert asked({"mine.py": code}, "mine.py:f") == [0.0]


@pytest.mark.parametrize("file", ["{}.py", "{}/__init__.py"], ids=["file", "package"])
def test_what_lies_beside_the_candidate_is_what_it_imports(asked, file):
    """Each of these modules is a digit of the loss."""
    modules = "numpy_impl", "torch_ref", "torch", "hypothesis", "helper", "config", "tests"
    files = {file.format(name): f"loss = {digit}e{digit}" for digit, name in enumerate(modules, 1)}
    files["mine.py"] = f"import {', '.join(modules)}\n{gives(' + '.join(f'{name}.loss' for name in modules))}"
    assert asked(files, "mine.py:f", "mine:f", f"{Path.cwd()}/mine.py:f") == [76543210.0] * 3


def test_ours_are_there_for_one_that_has_none_of_its_own(asked):
    code = "from numpy_impl import loss_and_grads as f\nfrom torch_ref import UnusableError\n"
    (loss,) = asked({"mine.py": code}, "mine.py:f")
    assert loss > 0


def test_a_helper_that_is_imported_late_is_found_too(asked):
    code = "def f(*arrays):\n    import helper\n    return helper.loss, (0.0,) * 4\n"
    assert asked({"folder/mine.py": code, "folder/helper.py": "loss = 2.5"}, "folder/mine.py:f") == [2.5]


def test_two_candidates_each_have_their_own_helper(asked):
    code = f"import helper\n{gives('helper.loss')}"
    files = {"a/mine.py": code, "b/mine.py": code, "a/helper.py": "loss = 1.0", "b/helper.py": "loss = 2.0"}
    assert asked(files, "a/mine.py:f", "b/mine.py:f") == [1.0, 2.0]


NAMES = "json", "numpy_impl", "atexit", "random", "loading", "worker", "channel", "types"


@pytest.mark.parametrize("name", NAMES)
def test_a_candidate_may_be_called_as_it_likes(asked, name):
    code = f"import atexit, json, random\natexit.register, json.dumps, random.Random\n{gives(1.5)}"
    if name == "random":
        code = gives(1.5)
    assert asked({f"{name}.py": code}, f"{name}.py:f") == [1.5]


def test_a_package_is_found_from_the_working_directory(asked):
    files = {"package/__init__.py": "", "package/module.py": f"from package.beside import f\n{gives(2.5)}"}
    files["package/beside.py"] = gives(1.5)
    assert asked(files, "package.module:f", "package.beside:f") == [2.5, 1.5]


def test_it_finds_what_the_parent_finds(asked, monkeypatch):
    Path("elsewhere").mkdir()
    monkeypatch.syspath_prepend("elsewhere")
    files = {"elsewhere/found.py": "loss = 2.5", "mine.py": f"import found\n{gives('found.loss')}"}
    assert asked(files, "mine.py:f") == [2.5]


def test_its_arguments_are_those_of_a_program(asked):
    code = f"import sys\nok = float(sys.argv == ['mine.py'] and {json.dumps(str(worker.__file__))} not in sys.argv)\n"
    assert asked({"mine.py": code + gives("ok")}, "mine.py:f") == [1.0]
