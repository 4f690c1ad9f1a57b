"""The candidates of a command line checked one after another, and what was found shown and saved."""

import argparse
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import torch

import numpy_impl
from numpy_impl import Parameters, xor
from torch_ref.candidate.calling import Candidate, InProcess
from torch_ref.candidate.loading import found, room_for_another_network
from torch_ref.candidate.printing import kept_out
from torch_ref.candidate.process import Process
from torch_ref.command.options import AT_ONCE, BUILT_IN, TIMEOUT, demand_bytes, shapes_of
from torch_ref.command.progress import Progress
from torch_ref.command.saved import load_case, save_case
from torch_ref.command.streams import say, show
from torch_ref.errors import UnusableError, plain, summary
from torch_ref.judging import judge, own_noise
from torch_ref.outcome import Outcome
from torch_ref.precision import PRECISIONS
from torch_ref.reference.base import BaseReference
from torch_ref.reference.operator import Operator
from torch_ref.report.document import Document, command_of
from torch_ref.report.github import github
from torch_ref.report.json_document import as_json
from torch_ref.report.markdown import markdown
from torch_ref.report.text import text
from torch_ref.results import Lockstep
from torch_ref.settings import Settings
from torch_ref.two_layers.layouts import fitted
from torch_ref.two_layers.lockstep import lockstep
from torch_ref.two_layers.options import OURS
from torch_ref.two_layers.reference import TwoLayers

RENDERERS = {"text": text, "markdown": markdown, "json": as_json, "github": github}


def run(options: argparse.Namespace, processes: Mapping[str, Process], raise_again: Callable[[], None]) -> int:
    """Check the candidates, each in its process. Returns the exit status. Raises ValueError for what can't be used.

    raise_again is that of `remember_interrupts`.
    """
    torch.set_num_threads(1)
    room = room_for_another_network() if options.reference is not None else nullcontext()
    with room, kept_out():  # a reference may print, too
        reference = _reference(options)
        outcomes = _check(options, _candidates(options, processes, reference), reference, raise_again)
    try:
        return _report(options, outcomes)
    except KeyboardInterrupt:
        raise UnusableError("interrupted after the last case, before the report was complete") from None


def _report(options: argparse.Namespace, outcomes: list[Outcome]) -> int:
    """Show and save what was found. Returns the exit status."""
    complete = not options.candidates and not any(outcome.interrupted for outcome in outcomes)
    title = f"XOR from the article's seed {xor.PRINTED[0].seed}"
    document = Document(outcomes, _xor() if complete else None, title, options.command)
    show(RENDERERS[options.format](document))
    if options.html:
        _write(options.html, document)
    if options.save:
        _save(options.save, outcomes)
    return 0 if document.passed else 1


def _reference(options: argparse.Namespace) -> BaseReference:
    """What the options ask for. Raises ValueError, UnusableError among them."""
    if options.reference is None:
        network = {name: getattr(options, name) for name in ("activation", "loss", "reduction")}
        words = {name: value for name, value in network.items() if value}
        layout = options.layout if options.candidates else str(OURS)
        return TwoLayers(**words, shapes=shapes_of(options), layout=layout, step=options.step)
    name, make = found(options.reference, makes=True)
    try:
        reference = make()
    except (Exception, SystemExit) as error:
        file = options.reference.rpartition(":")[0]
        raise UnusableError(f"{options.reference}: raised {summary(error, file)}") from error
    if not isinstance(reference, BaseReference):
        raise UnusableError(f"{options.reference}: returned a {type(reference).__name__}, expected a Reference")
    reference = reference.named(plain(name))
    if options.max_batch:
        reference = reference.with_largest_batch(options.max_batch)
        _demand_memory(reference)
    return reference


def _demand_memory(reference: BaseReference) -> None:
    """Raise UnusableError where the largest batch would not fit, by what the smallest one takes."""
    ranges = reference.cases.ranges
    smallest, largest = ranges["batch"]
    sizes = [smallest if name == "batch" else bounds[1] for name, bounds in ranges.items()]
    try:
        case = reference.cases.draw(*sizes, seed=0)
    except Exception:  # noqa: BLE001  # one that can't serve is told so later
        return
    data = sum(case.arguments[name].nbytes for name in case.given)
    demand_bytes(f"a batch of {largest}", AT_ONCE * data * largest // smallest)


def _candidates(
    options: argparse.Namespace, processes: Mapping[str, Process], reference: BaseReference
) -> dict[str, Candidate]:
    """By name: those of the command line in their processes, the built-in one in this process, as it is ours."""
    given = reference.results, reference.options
    if not options.candidates:
        return {BUILT_IN: InProcess(numpy_impl.loss_and_grads, *given)}
    candidates: dict[str, Candidate] = {}
    for name in options.candidates:
        if name in processes:
            candidate: Candidate = processes[name].against(*given)
            whole_name = processes[name].name
        else:
            whole_name, code = found(name)
            candidate = InProcess(code, *given)
        candidates[whole_name] = candidate
        if candidate.form and not isinstance(reference, Operator):
            how = "say --reference file.py:make, where make() returns Operator(function, draw)"
            raise UnusableError(f"{plain(whole_name)}: {candidate.form} is checked against an Operator; {how}")
    return candidates


def _check(
    options: argparse.Namespace,
    candidates: Mapping[str, Candidate],
    reference: BaseReference,
    raise_again: Callable[[], None],
) -> list[Outcome]:
    dtypes = [options.dtype] if options.dtype else ["float64"] if options.candidates else ["float64", "float32"]
    outcomes: list[Outcome] = []
    for (name, candidate), dtype in product(candidates.items(), dtypes):
        against = reference
        if isinstance(reference, TwoLayers):
            reference.demand_cases(PRECISIONS[dtype], strict=options.strict)
            against = fitted(candidate, reference, options.only, PRECISIONS[dtype])
        accuracy = bool(options.html) and dtype == dtypes[-1]  # once
        settings = replace(_settings(options, against, dtype), accuracy=accuracy)
        outcome = Outcome(plain(name), against.description, settings.shown(against))
        if options.timeout != TIMEOUT:
            outcome.settings["timeout"] = options.timeout
        if options.case:
            outcome.settings["case"] = str(options.case)
        outcomes.append(outcome)
        progress = Progress(plain(name), settings.total(against), raise_again)
        try:
            judge(candidate, against, settings, outcome, progress)
        finally:
            progress.erase()
        if outcome.interrupted:
            break
        if len(candidates) > 1 and name == next(iter(candidates)):
            outcome.noise = own_noise(against, settings)
    return outcomes


def _settings(options: argparse.Namespace, reference: BaseReference, dtype: str) -> Settings:
    time = options.time or bool(options.html)
    settings = Settings(options.cases, options.seed, PRECISIONS[dtype], options.strict, time, options.only)
    if not options.case:
        return settings
    case = load_case(options.case, reference, options.dtype)
    return replace(settings, saved=case, precision=case.precision, seed=case.seed)


def _xor() -> Lockstep:
    """The article's run, in NumPy and in torch side by side."""
    inputs, targets = xor.INPUTS.astype(np.float64), xor.TARGETS.astype(np.float64)
    start = Parameters.from_seed(xor.PRINTED[0].seed)
    return lockstep(inputs, targets, start, xor.LEARNING_RATE, xor.STEPS, reduction="sum")


def _write(path: Path, document: Document) -> None:
    """The page of the document."""
    try:
        from torch_ref.report.page import page  # noqa: PLC0415  # imports matplotlib, which few have

        path.write_text(page(document), encoding="utf-8")
    except (OSError, ImportError) as error:
        say(f"--html {path}: {getattr(error, 'strerror', None) or error}")


def _save(path: Path, outcomes: list[Outcome]) -> None:
    """The first failure's smallest case, and both answers."""
    outcome = next((outcome for outcome in outcomes if outcome.failure), None)
    if outcome is None or outcome.failure is None:
        say(f"nothing failed, {path} is not written")
        return
    try:
        save_case(path, outcome.failure, outcome)
    except OSError as error:
        say(f"--save {path}: {error.strerror or error}")
    else:
        say(f"{path} is written; to run it again: {command_of(outcome, str(path))}")
