"""python -m tests.benchmark.soak: right code on very many cases. Is any of it rejected, and how near does it come?

`check` judges three kinds of cases, half of each in float64 and half in float32: ordinary ones, by the seven backward
passes of tests/correct.py; saturated ones, which numpy_impl alone must match; and long ones of 4,096 to 65,536 samples,
by code that adds up in eight ways, tests/test_long_sums.py. --rounds 5 is a twentieth of it.
"""

import argparse
import os
from dataclasses import dataclass

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")  # before NumPy

from time import process_time

from tests.comparing import compared
from tests.correct import CORRECT
from tests.test_long_sums import SUMS, two_layers
from torch_ref import Shapes, TwoLayers, check
from torch_ref.precision import PRECISIONS

ROUNDS = 100
SHAPES = Shapes(), Shapes(outputs=(1, 3)), Shapes(batch=(1, 8), inputs=(1, 40), hidden=(1, 40), outputs=(1, 5))
LONG = Shapes(batch=(4096, 65_536), outputs=(1, 3))
NUMPY_IMPL, *OTHERS = CORRECT
ADDING = [two_layers(total) for total in SUMS.values()]


@dataclass
class Kind:
    """Of one kind of case how many were judged and rejected; and the largest error / allowed of some."""

    judged: int = 0
    rejected: int = 0
    measured: int = 0
    largest: float = 0.0

    def count(self, *summaries):
        self.judged += sum(summary.cases for summary in summaries)
        self.rejected += sum(summary.failed for summary in summaries)

    def measure(self, candidate, case, reference):
        """With all noise of the case, where `check` stops as soon as it knows enough."""
        self.measured += 1
        lines = compared(candidate, case, reference, lazy=False).lines.values()
        self.largest = max(self.largest, *(line.severity for line in lines))


def judged(candidate, seed, dtype, cases, shapes, *, strict=False):
    report = check(candidate, seed=seed, dtype=dtype, cases=cases, shapes=shapes, strict=strict)
    if not report.passed:
        print(f"\nseed {seed}\n{report}", flush=True)
    return report


def soak(ordinary, saturated, long, seed, dtype):
    """One round in one dtype: 2,600 ordinary cases, 500 saturated and 10 long ones, and a few more at the edges."""
    shapes = SHAPES[seed % len(SHAPES)]
    for candidate in CORRECT:
        own = candidate is NUMPY_IMPL
        report = judged(candidate, seed, dtype, 2000 if own else 100, shapes, strict=own)
        ordinary.count(report.ordinary, *report.asides.values())
        if own:
            saturated.count(report.saturated)
    report = judged(ADDING[seed % len(ADDING)], seed, dtype, 10, LONG)
    long.count(report.ordinary, *report.asides.values())

    def drawn(shapes, cases, **kind):
        reference = TwoLayers(shapes=shapes)
        for case in reference.cases.drawn(cases, seed, PRECISIONS[dtype], **kind):
            yield case, reference

    for case in drawn(shapes, 2):
        for candidate in CORRECT:
            ordinary.measure(candidate, *case)
    for case in drawn(shapes, 4, saturated=True):
        saturated.measure(NUMPY_IMPL, *case)
    for case in drawn(LONG, 1):
        for candidate in ADDING:
            long.measure(candidate, *case)


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.benchmark.soak", description=__doc__.partition(":")[2])
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help=f"how many rounds ({ROUNDS})")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the first round (0)")
    options = parser.parse_args()
    kinds = {name: Kind() for name in ("ordinary", "saturated", "long")}
    for seed in range(options.seed, options.seed + options.rounds):
        for dtype in ("float64", "float32"):
            soak(*kinds.values(), seed, dtype)
    print("| cases | judged | rejected | largest error / allowed |\n|---|---|---|---|")
    for name, kind in kinds.items():
        print(f"| {name} | {kind.judged:,} | {kind.rejected} | {kind.largest:.2f} (of {kind.measured:,}) |")
    print(f"\n{process_time() / 60:.0f} minutes of processor time")


if __name__ == "__main__":
    main()
