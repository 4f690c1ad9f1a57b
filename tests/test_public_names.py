"""The public names: what they are, how little importing them imports, and what their options are called."""

import inspect
import pkgutil
import subprocess
import sys
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest

import torch_ref
import torch_ref.candidate
import torch_ref.checking
from numpy_impl import loss_and_grads
from torch_ref import Reference, Shapes, TwoLayers, assert_matches_autograd, check
from torch_ref.command.options import parser, shapes_of
from torch_ref.command.run import RENDERERS

HEAVY = "torch", "hypothesis", "numpy", "torch_ref.reference", "torch_ref.two_layers.reference", "importlib.metadata"
CHECKS = pytest.mark.parametrize("function", [check, assert_matches_autograd], ids=lambda function: function.__name__)
OPTIONS = {name: one for name, one in inspect.signature(check).parameters.items() if name != "candidate"}


def imported_by(*statements):
    """What of HEAVY a new process has imported after these statements."""
    code = ["import sys", *statements, f"print(*[name for name in {HEAVY} if name in sys.modules])"]
    words = [sys.executable, "-c", "\n".join(code)]
    run = subprocess.run(words, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])  # noqa: S603
    return set(run.stdout.split())


def test_importing_the_package_imports_nothing_heavy():
    assert imported_by("import torch_ref") == set()
    assert {"torch", "numpy", "hypothesis"} <= imported_by("from torch_ref import check")


def test_what_a_candidates_process_needs_imports_no_torch():
    modules = [f"torch_ref.candidate.{found.name}" for found in pkgutil.iter_modules(torch_ref.candidate.__path__)]
    assert len(modules) >= 2
    assert imported_by(*(f"import {name}" for name in modules)) <= {"numpy"}


def test_a_command_line_is_read_and_refused_before_anything_heavy_is_imported():
    refused = "from torch_ref.command.main import main", "assert main(['nowhere.py:f']) == 2"
    assert imported_by("import torch_ref.command.options") == set()
    assert imported_by(*refused) == set()


def test_a_candidate_that_can_not_be_loaded_is_refused_before_torch_is_imported(tmp_path):
    """If its process has said so by then; here it is waited for."""
    (tmp_path / "mine.py").write_text("import nothing_of_that_name\n")
    waits = "from torch_ref.candidate.process import Process", "ask = Process.demand_loaded"
    patched = "Process.demand_loaded = lambda self, *, wait: ask(self, wait=True)"
    refused = "from torch_ref.command.main import main", f"assert main(['{tmp_path / 'mine.py'}:f']) == 2"
    assert "torch" not in imported_by(*waits, patched, *refused)


def test_the_public_names_are_these_and_each_is_there():
    assert dir(torch_ref) == sorted(torch_ref.__all__)
    assert torch_ref.__all__ == sorted(torch_ref.__all__)
    for name in torch_ref.__all__:
        assert getattr(torch_ref, name) is not None
    expected = {"Reference", "Shapes", "TwoLayers", "Report", "Finding", "ContractError", "UnusableError"}
    assert expected | {"check", "assert_matches_autograd", "__version__"} <= set(torch_ref.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"module 'torch_ref' has no attribute 'chekc'"):
        _ = torch_ref.chekc
    with pytest.raises(ImportError, match="cannot import name 'chekc' from 'torch_ref'"):
        exec("from torch_ref import chekc")  # noqa: S102  # ours


def test_a_public_name_is_never_a_module_whatever_was_imported_before():
    """Importing a module sets it as an attribute of its package."""
    for module in pkgutil.walk_packages(torch_ref.__path__, "torch_ref."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    for name in torch_ref.__all__:
        assert not inspect.ismodule(getattr(torch_ref, name))
    assert torch_ref.check is torch_ref.checking.check is check


@CHECKS
def test_help_shows_every_option_and_the_docstring_says_what_each_is(function):
    parameters = inspect.signature(function).parameters
    assert not any(one.kind in (one.VAR_KEYWORD, one.VAR_POSITIONAL) for one in parameters.values())
    documented = [line.split(":")[0] for line in inspect.getdoc(function).splitlines() if ":" in line]
    listed = {name.strip() for names in documented for name in names.split(",")}
    assert set(parameters) - {"candidate"} <= listed
    assert all(one.kind is one.KEYWORD_ONLY for name, one in parameters.items() if name != "candidate")


@CHECKS
def test_a_typo_names_the_function_that_was_called(function):
    with pytest.raises(TypeError, match=rf"^{function.__name__}\(\) got an unexpected keyword argument 'dytpe'"):
        function(loss_and_grads, dytpe="float32")


def test_the_defaults_are_the_same_everywhere():
    """In both functions, in TwoLayers, and on the command line when a candidate is named."""
    defaults = {name: one.default for name, one in OPTIONS.items()}
    both = inspect.signature(assert_matches_autograd).parameters
    assert defaults == {name: one.default for name, one in both.items() if name != "candidate"}
    annotations = {name: one.annotation for name, one in OPTIONS.items()}
    assert annotations == {name: one.annotation for name, one in both.items() if name != "candidate"}
    network = {field.name: field.default for field in fields(TwoLayers) if field.name not in ("name", "nearest")}
    assert network == {name: defaults[name] for name in network}
    words = parser().parse_args(["f.py:f"])
    for name, default in defaults.items():
        if hasattr(words, name):
            assert getattr(words, name) in (default, None), name  # None: whatever the function does
    assert {"cases", "seed", "dtype", "strict", "time", "activation", "loss", "reduction"} <= set(vars(words))
    assert shapes_of(words) == defaults["shapes"] == Shapes()


def test_every_format_that_the_command_takes_has_a_renderer():
    (formats,) = (action.choices for action in parser()._actions if action.dest == "format")
    assert list(formats) == list(RENDERERS)


def test_the_help_of_the_command_gives_the_defaults():
    """Each in brackets, as it is in the function."""
    told = parser().format_help()
    for name, one in OPTIONS.items():
        if f"--{name} " in told and one.default not in (None, False, ()):
            assert f"({one.default}" in told.partition(f"--{name} ")[2].partition("  --")[0], name
    for name, (low, high) in {"inputs": Shapes.inputs, "hidden": Shapes.hidden}.items():
        assert f"{low}..{high})" in told.partition(f"--{name} ")[2].partition("\n  --")[0]
    batches = f"({Shapes.batch[1]}; with --reference {Reference.batch[1]})"
    assert batches in told
