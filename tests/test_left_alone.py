"""In Python a check runs in the caller's process, and leaves there what it found."""

import os
import random
import sys
import threading
from pathlib import Path

import hypothesis
import numpy as np
import torch
from hypothesis.configuration import storage_directory
from hypothesis.errors import NoSuchExample

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


def test_hypothesis_keeps_its_notes_elsewhere(monkeypatch):
    def home():
        return storage_directory(intent_to_write=False).home_directory

    def find(*_, **__):
        homes.append(home())
        raise NoSuchExample("none")  # as if nothing smaller failed

    homes = [home()]
    monkeypatch.setattr(hypothesis, "find", find)
    assert not check(wrong, cases=8).passed
    before, during = homes
    assert before == home() != during
    assert not during.exists()


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
