"""A process with a candidate in it."""

import textwrap
from contextlib import contextmanager

import pytest

from torch_ref.candidate.child import Child
from torch_ref.candidate.process import Process

OPTIONS = {"activation": "sigmoid", "loss": "bce", "reduction": "mean"}


@pytest.fixture
def process(tmp_path, monkeypatch):
    """A function that starts a process on a candidate with this body, after the imports."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # C code's output would be, too

    @contextmanager
    def start(body, before="", timeout=20.0):
        code = "import ctypes, os, signal, sys, threading\nimport numpy as np\nfrom numpy_impl import loss_and_grads\n"
        code += f"{before}\ndef f(*arrays):\n{textwrap.indent(textwrap.dedent(body), '    ')}\n"
        code += "    return loss_and_grads(*arrays)\n"
        (tmp_path / "candidate.py").write_text(code, encoding="utf-8")
        with Child("candidate.py:f", timeout) as child:
            yield Process(child).against(("loss",), OPTIONS)

    return start
