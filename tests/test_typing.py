"""The user's file that mypy checks uses every public name, and mypy is told to check it."""

import ast
import tomllib
from pathlib import Path

import torch_ref

HERE = Path(__file__).parent


def test_the_users_file_uses_every_public_name():
    tree = ast.parse((HERE / "typing" / "user.py").read_text(encoding="utf-8"))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    used |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert set(torch_ref.__all__) <= used


def test_mypy_checks_the_users_file_as_strictly_as_the_rest():
    mypy = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
    assert mypy["strict"]
    assert {"numpy_impl", "torch_ref", "tests/typing"} <= set(mypy["files"])
    assert ".venv/bin/mypy" in (HERE.parent / ".ci" / "run").read_text(encoding="utf-8").splitlines()
