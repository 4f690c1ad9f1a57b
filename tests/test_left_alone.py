"""In Python a check runs in the caller's process, and leaves there what it found."""

import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import torch

from numpy_impl import loss_and_grads
from torch_ref import check


def wrong(*arrays):
    loss, (dW1, *others) = loss_and_grads(*arrays)
    print("wrong")  # noqa: T201  # what a candidate may do
    return loss, (2 * dW1, *others)


def state():
    return {
        "np.seterr": np.geterr(),
        "torch's threads": torch.get_num_threads(),
        "threads": threading.enumerate(),
        "folder": Path.cwd(),
        "files": sorted(os.listdir()),  # noqa: PTH208  # names will do
        "path": list(sys.path),
        "output": sys.stdout,
        "random": random.getstate(),
        "np.random": np.random.get_state()[1].tolist(),  # noqa: NPY002  # who uses it may go on
        "torch.random": torch.get_rng_state().tolist(),
    }


CHECK = """
from mine import f
from torch_ref import check
assert not check(f, cases=8).passed
"""
MINE = "from numpy_impl import loss_and_grads\ndef f(*arrays): return 0.0, loss_and_grads(*arrays)[1]\n"


def test_a_check_leaves_no_files(tmp_path):
    (tmp_path / "script.py").write_text(CHECK, encoding="utf-8")
    (tmp_path / "mine.py").write_text(MINE, encoding="utf-8")  # Hypothesis reads what is imported, and keeps notes
    subprocess.run([sys.executable, "-B", "script.py"], cwd=tmp_path, check=True)  # our own
    assert {path.name for path in tmp_path.iterdir()} == {"mine.py", "script.py"}


def test_a_check_leaves_everything_as_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with np.errstate(over="raise", invalid="ignore"):
            before = state()
            assert not check(wrong, cases=8).passed
            assert state() == before
    finally:
        torch.set_num_threads(threads)
