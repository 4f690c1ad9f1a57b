"""The command: `gradgate`, or `python -m torch_ref`."""

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import torch
from hypothesis.configuration import set_hypothesis_home_dir

from numpy_impl import Parameters, xor
from torch_ref import formats
from torch_ref.candidate import UnusableError, load, summary
from torch_ref.cases import Range, label
from torch_ref.gate import check
from torch_ref.mlp import ACTIVATIONS, LOSSES, mlp
from torch_ref.mlp_cases import Shapes
from torch_ref.reference import Reference
from torch_ref.report import Report
from torch_ref.training import Lockstep, lockstep

BUILT_IN = "numpy_impl:loss_and_grads"


def main(arguments: list[str] | None = None) -> int:
    """Check the candidates. Returns the exit status: 0 all agree, 1 one does not, 2 the command line is no use."""
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # a TextIOWrapper; ∂ on a console without it
    torch.set_num_threads(1)
    options = _parser().parse_args(arguments)
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
        reference = _reference(options)
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


def _reference(options: argparse.Namespace) -> Reference:
    """What the options ask for. Raises ValueError, UnusableError among them."""
    network = {name: getattr(options, name) for name in ("activation", "loss", "reduction")}
    ranges = {name: getattr(options, name) for name in ("inputs", "hidden", "outputs")}
    given = [name for name, value in {**network, **ranges}.items() if value is not None]
    if options.reference is None:
        if not options.candidates and (options.activation or options.loss):
            raise UnusableError(f"{BUILT_IN} is of a sigmoid and bce; name a candidate for another network")
        if not options.candidates:
            ranges["outputs"] = ranges["outputs"] or (1, 3)
        ranges["batch"] = (1, options.max_batch) if options.max_batch else None
        shapes = Shapes(**{name: value for name, value in ranges.items() if value})
        return mlp(**{name: value for name, value in network.items() if value}, shapes=shapes)
    if given:
        raise UnusableError(f"--{given[0]}: of the two-layer network, not of another reference; leave it out")
    if not options.candidates:
        raise UnusableError(f"--reference {options.reference}: name a candidate to hold against it")
    make = load(options.reference)
    try:
        reference = make()
    except (Exception, SystemExit) as error:
        raise UnusableError(
            f"{options.reference}: raised {summary(error, options.reference.rpartition(':')[0])}"
        ) from error
    if not isinstance(reference, Reference):
        raise UnusableError(f"{options.reference}: returned a {type(reference).__name__}, expected a Reference")
    batch = (min(reference.batch[0], options.max_batch), options.max_batch) if options.max_batch else reference.batch
    return replace(reference, name=options.reference, batch=batch)


def _unusable(why: str) -> int:
    print(f"gradgate: {why}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gradgate",
        usage="%(prog)s [CANDIDATE ...] [options]",
        description="Hold a hand-written loss_and_grads against PyTorch's autograd.",
        epilog="A candidate is called as f(inputs, targets, W1, B1, W2, B2) and returns (loss, (dW1, dB1, dW2, dB2)).\n"
        "Exit status: 0 all agree, 1 a candidate does not, 2 the command line or a candidate can't be used.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("candidates", metavar="CANDIDATE", nargs="*", help=f"package.module:function or file.py:function ({BUILT_IN})")
    add("--cases", type=_count, default=100, metavar="N", help="ordinary cases; saturated are a quarter of that (100)")
    add("--seed", type=_seed, default=0, metavar="S", help="same seed, same cases, same verdict (0)")
    add("--dtype", choices=["float64", "float32"], help="(float64; both for the built-in candidate)")
    add("--activation", choices=ACTIVATIONS, help="of the hidden layer (sigmoid)")
    add("--loss", choices=LOSSES, help="cross-entropy, squared error or half of it (bce)")
    add("--reduction", choices=["mean", "sum"], help="of the loss, over batch × out (mean)")
    add("--reference", metavar="FILE.py:F", help="another network: F() returns a torch_ref.Reference")
    add("--max-batch", type=_count, metavar="N", help="the largest batch (64; with --reference 16)")
    add("--inputs", type=_range, metavar="N..M", help="widths, one or a range (1..5)")
    add("--hidden", type=_range, metavar="N..M", help="(1..8)")
    add("--outputs", type=_range, metavar="N..M", help="(1; 1..3 for the built-in candidate)")
    add("--strict", action="store_true", help="saturated cases decide too")
    add("--format", choices=["text", "markdown", "json"], default="text", help="on standard output (text)")
    add("--save", type=Path, metavar="FILE.npz", help="write the smallest case that fails, and both answers")
    add("--time", action="store_true", help="time a call, and autograd's, on one thread")
    return parser


def _count(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"{text!r}, expected a whole number of 1 or more")
    return int(text)


def _seed(text: str) -> int:
    if not re.fullmatch(r"\d+", text):
        raise argparse.ArgumentTypeError(f"{text!r}, expected a whole number of 0 or more")
    return int(text)


def _range(text: str) -> Range:
    match = re.fullmatch(r"(\d+)(?:\.\.(\d+))?", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a width such as 3, or a range such as 2..5")
    return int(match[1]), int(match[2] or match[1])


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
