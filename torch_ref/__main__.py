"""The command: `gradgate`, or `python -m torch_ref`."""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import torch
from hypothesis.configuration import set_hypothesis_home_dir

from numpy_impl import Parameters, xor
from torch_ref import formats
from torch_ref.candidate import UnusableError, load
from torch_ref.cases import label
from torch_ref.gate import check
from torch_ref.options import BUILT_IN, parser, reference_of
from torch_ref.report import Report
from torch_ref.training import Lockstep, lockstep


def main(arguments: list[str] | None = None) -> int:
    """Check the candidates. Returns the exit status: 0 all agree, 1 one does not, 2 the command line is no use."""
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # a TextIOWrapper; ∂ on a console without it
    torch.set_num_threads(1)
    options = parser().parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        set_hypothesis_home_dir(folder)  # it would leave a .hypothesis in the user's
        try:
            return _run(options)
        except KeyboardInterrupt:  # before the first case
            return _unusable("interrupted")
        except MemoryError:
            return _unusable("not enough memory for batches and widths this large")
        finally:
            set_hypothesis_home_dir(None)


def _run(options: argparse.Namespace) -> int:
    built_in = not options.candidates
    dtypes = [options.dtype] if options.dtype else ["float64", "float32"] if built_in else ["float64"]
    try:
        reference = reference_of(options)
        candidates = [(name, load(name)) for name in options.candidates or [BUILT_IN]]
    except ValueError as error:
        return _unusable(str(error))
    if options.save and options.save.suffix != ".npz":
        return _unusable(f"--save {options.save}: expected a name that ends in .npz")
    if options.save and not options.save.resolve().parent.is_dir():
        return _unusable(f"--save {options.save}: no such folder")

    reports: list[Report] = []
    for (name, candidate), dtype in product(candidates, dtypes):
        try:
            report = check(
                candidate,
                reference=reference,
                name=name,
                cases=options.cases,
                seed=options.seed,
                dtype=dtype,
                strict=options.strict,
                time=options.time,
                on_case=progress(name, options.cases + max(1, options.cases // 4)),
            )
        except UnusableError as error:
            return _unusable(str(error))
        reports.append(report)
        if report.interrupted:
            break
    run = _xor() if built_in and not any(report.interrupted for report in reports) else None
    passed = all(report.passed for report in reports) and (run is None or run.passed)
    _print(reports, run, options.format, passed=passed)
    if options.save:
        _save(options.save, reports)
    return 0 if passed else 1


def _unusable(why: str) -> int:
    print(f"gradgate: {why}", file=sys.stderr)
    return 2


def progress(name: str, total: int) -> Callable[[int], None]:
    """A line on standard error, if that is a terminal and it has been two seconds."""
    start = time.monotonic()

    def show(done: int) -> None:
        if sys.stderr.isatty() and time.monotonic() - start > 2:
            end = "\r" if done + 1 < total else "\r\033[K"
            print(f"{name}: {min(done, total)} of {total} cases", end=end, file=sys.stderr, flush=True)

    return show


def _xor() -> Lockstep:
    """The article's run, in NumPy and in torch side by side."""
    inputs, targets = xor.INPUTS.astype(np.float64), xor.TARGETS.astype(np.float64)
    start = Parameters.from_seed(xor.PRINTED[0].seed)
    return lockstep(inputs, targets, start, xor.LEARNING_RATE, xor.STEPS, reduction="sum")


def _print(reports: list[Report], run: Lockstep | None, format_: str, *, passed: bool) -> None:
    if format_ == "json":
        print(formats.as_json(reports))
        return
    if format_ == "markdown":
        print(formats.markdown(reports))
        return
    versions = ", ".join(f"{name} {number}" for name, number in formats.versions().items())
    print(f"{versions}\n{formats.text(reports)}")
    if run:
        print(f"\nXOR from the article's seed {xor.PRINTED[0].seed}, {run.steps} steps in NumPy and in torch:")
        print(
            f"at most {run.loss:.1e} apart in the loss, {run.parameters:.1e} in a parameter (allowed {run.allowed:.1e})"
        )
    interrupted = any(report.interrupted for report in reports)
    print(f"\n{'PASS' if passed else 'INTERRUPTED' if interrupted else 'FAIL'}")


def _save(path: Path, reports: list[Report]) -> None:
    """The first failure's smallest case: arrays by their names, autograd_ and candidate_ before the answers."""
    failure = next((report.failure for report in reports if report.failure), None)
    if failure is None:
        print(f"gradgate: nothing failed, {path} is not written", file=sys.stderr)
        return
    arrays = {"inputs": failure.case.inputs, "targets": failure.case.targets, **failure.case.parameters}
    for source, answers in ("autograd", failure.autograd), ("candidate", failure.yours):
        arrays |= {f"{source}_{label(name).replace('/', '_')}": array for name, array in answers.items()}
    np.savez(path, **arrays)  # type: ignore[arg-type]  # numpy's stub takes the names for its own option


if __name__ == "__main__":
    sys.exit(main())
