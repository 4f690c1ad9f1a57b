"""A folder of its own for a test of the command, and candidates in it."""

import sys
import textwrap

import pytest


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Each test in a folder of its own, and nothing of it stays imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # an output that is lost may be lost at the very end
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def write(tmp_path):
    """A function that writes a candidate with this body: right, unless the body sees to it."""

    def write(body, before="", name="mine.py"):
        code = f"import ctypes, os, signal, sys\nfrom numpy_impl import loss_and_grads\n{before}\ndef f(*arrays):\n"
        code += f"{textwrap.indent(body, '    ')}\n    return loss_and_grads(*arrays)\n"
        (tmp_path / name).write_text(code, encoding="utf-8")

    return write
