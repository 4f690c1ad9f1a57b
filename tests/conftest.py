"""Hypothesis profiles, one thread for torch, --candidate for the parity tests, and what several rooms share."""

import gc
import os
import shutil
import subprocess
import sys
from itertools import tee
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from torch_ref import TwoLayers, UnusableError
from torch_ref.candidate.loading import load
from torch_ref.reference.base import BaseReference
from torch_ref.rounding import replay

pytest_plugins = ["pytester"]
gc.disable()  # until all tests are collected: nothing that is imported is garbage


def pytest_collection_finish():
    gc.freeze()
    gc.enable()


BUILT_IN = "numpy_impl:loss_and_grads"

settings.register_profile("dev", deadline=None, database=None, max_examples=50)
settings.register_profile("ci", deadline=None, database=None, derandomize=True, max_examples=50)
# Under CI Hypothesis derandomizes by itself, and a profile inherits that: a random run has to say so.
settings.register_profile("nightly", deadline=None, database=None, derandomize=False, max_examples=5000)
settings.load_profile("ci" if os.environ.get("CI") else "dev")  # --hypothesis-profile=nightly comes after this

torch.set_num_threads(1)  # two only fight over arrays this small


def pytest_addoption(parser):
    parser.addoption(
        "--candidate",
        metavar="MODULE:FUNCTION",
        default=BUILT_IN,
        help=f"run the parity tests on this loss_and_grads, ordinary cases with one output ({BUILT_IN})",
    )


def pytest_configure(config):
    """Before anything is collected: a candidate that cannot be used is a mistake on the command line."""
    try:
        config.candidate = load(config.getoption("candidate"))
    except UnusableError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_report_header(config):
    return f"checked against autograd: {config.getoption('candidate')}"


@pytest.fixture(scope="session")
def candidate(pytestconfig):
    return pytestconfig.candidate


@pytest.fixture(scope="session")
def is_built_in(pytestconfig):
    return pytestconfig.getoption("candidate") == BUILT_IN


@pytest.fixture(scope="session")
def gradgate():
    """The command as a user runs it, in a process of its own, once."""
    return subprocess.run([sys.executable, "-m", "torch_ref"], capture_output=True, text=True, check=False)


@pytest.fixture
def undiagnosed(monkeypatch):
    """The search for the mistake, which would take most of the time, is left out."""
    monkeypatch.setattr("torch_ref.judging.explain_failure", lambda *_: None)


@pytest.fixture
def verdicts_alone(undiagnosed, monkeypatch):  # noqa: ARG001  # it is the other half
    """So is the search for a smaller case."""
    monkeypatch.setattr("torch_ref.trials.smallest_of", lambda *_: None)


NOISES = {}  # of each case of a reference, as it was measured


@pytest.fixture
def noise_measured_once(monkeypatch):
    """For tests of many candidates on a few cases: the noise of a case is the reference's, whoever is compared."""

    def remembered(evaluate, plain, **options):
        reference, (case,) = getattr(evaluate.func, "__self__", None), evaluate.args
        if not isinstance(reference, BaseReference):
            return replay(evaluate, plain, **options)
        arguments = [(array.dtype, array.shape, array.tobytes()) for array in case.arguments.values()]
        of = reference.chain if isinstance(reference, TwoLayers) else reference
        key = (of, *arguments, *options.values())
        NOISES[key], again = tee(NOISES[key] if key in NOISES else replay(evaluate, plain, **options))
        return again

    monkeypatch.setattr("torch_ref.comparison.replay", remembered)


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A candidate with a mistake in it, in a file of the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    shutil.copy(Path(__file__).parent / "averaged_bias.py", tmp_path / "mine.py")
    yield "mine.py:loss_and_grads"
    for name in [name for name in sys.modules if name.startswith("mine")]:
        del sys.modules[name]
