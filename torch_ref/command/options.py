"""What the command line may say. Imports neither torch nor NumPy: `--help` answers at once."""

import argparse
import re
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

from torch_ref.candidate.child import machine_memory
from torch_ref.cases.ranges import Range
from torch_ref.errors import UnusableError
from torch_ref.precision import PRECISIONS
from torch_ref.two_layers.options import Activation, Layout, Loss, Reduction, Shapes

BUILT_IN = "numpy_impl:loss_and_grads"
BUILT_IN_ARRAYS = "float32", "float64"  # that it takes
AT_ONCE = 50  # times what one pass takes: right candidates were seen to take 6 to 32, wrong ones, diagnosed, 28 to 49
TIMEOUT = 60.0  # seconds
LONGEST = 1e6  # seconds, eleven days


def parser() -> argparse.ArgumentParser:
    """The options of the command, on one screen."""
    made = argparse.ArgumentParser(
        prog="gradgate",
        usage="%(prog)s [CANDIDATE ...] [options]",
        description="Check a hand-written loss_and_grads against PyTorch's autograd.",
        epilog="A candidate is called as f(inputs, targets, W1, B1, W2, B2) and returns (loss, (dW1, dB1, dW2, dB2)).\n"
        "Exit status: 0 all agree, 1 a candidate does not, 2 the command line or a candidate can't be used.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add(
        "candidates",
        metavar="CANDIDATE",
        nargs="*",
        help=f"file.py, file.py:function, file.py:forward,backward or module:function ({BUILT_IN})",
    )
    add("--cases", type=_count, default=100, metavar="N", help="ordinary cases; saturated are a quarter of that (100)")
    add("--seed", type=_seed, default=0, metavar="S", help="same seed, same cases, same verdict (0)")
    add("--dtype", choices=PRECISIONS, help="(float64; both for the built-in candidate)")
    add("--activation", choices=get_args(Activation), help="of the hidden layer (sigmoid)")
    add("--loss", choices=get_args(Loss), help="cross-entropy, squared error or half of it (bce)")
    add("--reduction", choices=get_args(Reduction), help="of the loss, over batch × out (mean)")
    add("--layout", metavar="SHAPES", help="of inputs, W1 and B1, as '(in, batch) (in, hidden) (hidden,)' (found)")
    add("--step", action="store_true", help="it is a training step f(…, learning_rate) to new parameters")
    add("--reference", metavar="FILE.py:F", help="another network or operator: F() returns a Reference or Operator")
    add("--max-batch", type=_count, metavar="N", help="the largest batch (64; with --reference 16)")
    add("--inputs", type=_range, metavar="N..M", help="widths, one or a range (1..5)")
    add("--hidden", type=_range, metavar="N..M", help="(1..8)")
    add("--outputs", type=_range, metavar="N..M", help="(1; 1..3 for the built-in candidate)")
    add("--strict", action="store_true", help="saturated cases decide too")
    add("--format", choices=["text", "markdown", "json", "github"], default="text", help="on standard output (text)")
    add("--html", type=Path, metavar="FILE", help="write a page with pictures, accuracy and times (needs matplotlib)")
    add("--only", type=_names, default=(), metavar="W1,B2", help="judge these alone; the others may be left out")
    add("--case", type=Path, metavar="FILE.npz", help="run a saved case again, and nothing else")
    add("--save", type=Path, metavar="FILE.npz", help="write the smallest case that fails, and both answers")
    add("--time", action="store_true", help="time a call, and autograd's, on one thread")
    add("--timeout", type=_seconds, default=TIMEOUT, metavar="SECONDS", help="for a call, or the import (60)")
    add("--version", action="store_true", help="show it, and do nothing else")
    return made


def demand_sense(options: argparse.Namespace) -> None:
    """Raise ValueError, UnusableError among them, for words that do not go together."""
    network = ("activation", "loss", "reduction", "inputs", "hidden", "outputs", "layout")
    given = [name for name in network if getattr(options, name) is not None] + ["step"] * options.step
    if options.reference is not None and given:
        raise UnusableError(f"--{given[0]}: of the two-layer network, not of another reference; leave it out")
    if options.reference is not None and not options.candidates:
        raise UnusableError(f"--reference {options.reference}: name a candidate to check against it")
    if not options.candidates and (options.activation or options.loss):
        raise UnusableError(f"{BUILT_IN} is of a sigmoid and bce; name a candidate for another network")
    if not options.candidates and (options.layout or options.step):
        raise UnusableError(f"--layout and --step: {BUILT_IN} has neither; name a candidate")
    if not options.candidates and options.dtype and PRECISIONS[options.dtype].array not in BUILT_IN_ARRAYS:
        arrays = " and ".join(BUILT_IN_ARRAYS)
        raise UnusableError(f"--dtype {options.dtype}: {BUILT_IN} takes {arrays}; name a candidate for another dtype")
    if options.layout is not None:
        Layout.of(options.layout)
    if options.step and options.strict:
        raise UnusableError("--strict: with --step there are no saturated cases, their gradients are too small to show")
    if options.reference is None:
        demand_memory(shapes_of(options))
    _demand_files(options)


def _demand_files(options: argparse.Namespace) -> None:
    if options.case and not options.case.is_file():
        raise UnusableError(f"--case {options.case}: no such file")
    for option, suffix in ("save", ".npz"), ("html", ".html"):  # not to write over a candidate, say
        file = getattr(options, option)
        if file and file.suffix != suffix:
            raise UnusableError(f"--{option} {file}: expected a name that ends in {suffix}")
        if file and not file.resolve().parent.is_dir():
            raise UnusableError(f"--{option} {file}: no such folder")
    if options.html and find_spec("matplotlib") is None:
        raise UnusableError(f"--html {options.html}: needs matplotlib, which is not installed; pip install matplotlib")


def shapes_of(options: argparse.Namespace) -> Shapes:
    """The batches and widths to draw. Raises ValueError for an empty range."""
    ranges = {name: getattr(options, name) for name in ("inputs", "hidden", "outputs")}
    if not options.candidates:
        ranges["outputs"] = ranges["outputs"] or (1, 3)
    ranges["batch"] = (1, options.max_batch) if options.max_batch else None
    return Shapes(**{name: bounds for name, bounds in ranges.items() if bounds})


def demand_memory(shapes: Shapes) -> None:
    """Raise UnusableError where the largest case of these sizes would take more memory than the machine has."""
    batch, inputs, hidden, outputs = (largest for _, largest in vars(shapes).values())
    parameters = hidden * (inputs + 1) + outputs * (hidden + 1)
    stages = batch * (inputs + 2 * hidden + 3 * outputs)  # inputs, G1, S1, G2, S2, targets
    demand_bytes("these batches and widths", 8 * AT_ONCE * (parameters + stages))


def demand_bytes(of: str, needed: int) -> None:
    """Raise UnusableError where this is more than the machine has."""
    if needed > machine_memory():
        has = f"this machine has {machine_memory() / 2**30:,.0f} GiB"
        raise UnusableError(f"{of} would take {needed / 2**30:,.0f} GiB of memory, {has}; name smaller ones")


def _count(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"{text!r}, expected a whole number of 1 or more")
    return int(text)


def _seed(text: str) -> int:
    if not re.fullmatch(r"\d+", text):
        raise argparse.ArgumentTypeError(f"{text!r}, expected a whole number of 0 or more")
    return int(text)


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise argparse.ArgumentTypeError(f"{text!r}, expected names, as in W1,B2")
    return names


def _seconds(text: str) -> float:
    if not re.fullmatch(r"\d*\.?\d+", text) or not 0 < float(text) <= LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r}, expected seconds, more than 0 and at most {LONGEST:.0f}")
    return float(text)


def _range(text: str) -> Range:
    match = re.fullmatch(r"(\d+)(?:\.\.(\d+))?", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a width such as 3, or a range such as 2..5")
    return int(match[1]), int(match[2] or match[1])
