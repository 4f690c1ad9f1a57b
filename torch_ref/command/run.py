"""The candidates of a command line checked one after another, and what was found shown and saved."""

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis.configuration import set_hypothesis_home_dir

from numpy_impl import Parameters, xor
from torch_ref.candidate.calling import InProcess
from torch_ref.command.options import shapes_of
from torch_ref.command.progress import Progress
from torch_ref.errors import UnusableError, summary
from torch_ref.judging import judge
from torch_ref.outcome import Outcome
from torch_ref.precision import PRECISIONS
from torch_ref.reference.base import BaseReference
from torch_ref.report.document import Document
from torch_ref.report.json_document import as_json
from torch_ref.report.markdown import markdown
from torch_ref.report.text import text
from torch_ref.results import Lockstep
from torch_ref.trials import Settings
from torch_ref.two_layers.lockstep import lockstep
from torch_ref.two_layers.reference import TwoLayers

RENDERERS = {"text": text, "markdown": markdown, "json": as_json}


def run(
    options: argparse.Namespace,
    functions: Mapping[str, Callable[..., Any]],
    make_reference: Callable[[], Any] | None,
) -> int:
    """Check these functions by their names. Returns the exit status. Raises ValueError for what can't be used."""
    torch.set_num_threads(1)
    reference = _reference(options, make_reference)
    with tempfile.TemporaryDirectory() as folder:
        set_hypothesis_home_dir(folder)  # it would leave a .hypothesis in the user's
        try:
            outcomes = _check(options, functions, reference)
        finally:
            set_hypothesis_home_dir(None)
    complete = not options.candidates and not any(outcome.interrupted for outcome in outcomes)
    document = Document(outcomes, _xor() if complete else None, f"XOR from the article's seed {xor.PRINTED[0].seed}")
    print(RENDERERS[options.format](document))
    if options.save:
        _save(options.save, outcomes)
    return 0 if document.passed else 1


def _reference(options: argparse.Namespace, make: Callable[[], Any] | None) -> BaseReference:
    """What the options ask for. Raises ValueError, UnusableError among them."""
    if make is None:
        network = {name: getattr(options, name) for name in ("activation", "loss", "reduction")}
        return TwoLayers(**{name: value for name, value in network.items() if value}, shapes=shapes_of(options))
    try:
        reference = make()
    except (Exception, SystemExit) as error:
        file = options.reference.rpartition(":")[0]
        raise UnusableError(f"{options.reference}: raised {summary(error, file)}") from error
    if not isinstance(reference, BaseReference):
        raise UnusableError(f"{options.reference}: returned a {type(reference).__name__}, expected a Reference")
    reference = reference.named(options.reference)
    return reference.with_largest_batch(options.max_batch) if options.max_batch else reference


def _check(
    options: argparse.Namespace, functions: Mapping[str, Callable[..., Any]], reference: BaseReference
) -> list[Outcome]:
    dtypes = [options.dtype] if options.dtype else ["float64"] if options.candidates else ["float64", "float32"]
    outcomes: list[Outcome] = []
    for (name, function), dtype in product(functions.items(), dtypes):
        settings = Settings(options.cases, options.seed, PRECISIONS[dtype], options.strict, options.time)
        outcome = Outcome(name, reference.description, settings.shown(reference))
        outcomes.append(outcome)
        candidate = InProcess(function, reference.results, reference.options)
        progress = Progress(name, settings.total(reference))
        try:
            judge(candidate, reference, settings, outcome, progress)
        finally:
            progress.erase()
        if outcome.interrupted:
            break
    return outcomes


def _xor() -> Lockstep:
    """The article's run, in NumPy and in torch side by side."""
    inputs, targets = xor.INPUTS.astype(np.float64), xor.TARGETS.astype(np.float64)
    start = Parameters.from_seed(xor.PRINTED[0].seed)
    return lockstep(inputs, targets, start, xor.LEARNING_RATE, xor.STEPS, reduction="sum")


def _save(path: Path, outcomes: list[Outcome]) -> None:
    """The first failure's smallest case: arrays by their names, autograd_ and candidate_ before the answers."""
    failure = next((outcome.failure for outcome in outcomes if outcome.failure), None)
    if failure is None:
        print(f"gradgate: nothing failed, {path} is not written", file=sys.stderr)
        return
    arrays = dict(failure.case.arguments)
    for source, answers in ("autograd", failure.autograd), ("candidate", failure.yours):
        arrays |= {f"{source}_{failure.case.label(n).replace('/', '_')}": array for n, array in answers.items()}
    np.savez(path, **arrays)  # type: ignore[arg-type]  # numpy's stub takes the names for its own option
