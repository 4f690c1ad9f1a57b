"""python -m tests.benchmark.half: the tables of its README. Right code rejected, and the error that each rule catches.

It takes about twenty minutes; --cases 50 gives the same tables of fewer cases.
"""

import argparse
import os

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")  # before NumPy

import numpy as np
import torch

from tests.benchmark.half.operators import KINDS
from tests.benchmark.half.rules import RULES, Trial, gradgate, gradgate_again

SHARE = 8  # one case in so many is asked what error is caught in it: the first ones, of all lengths
ERRORS = np.geomspace(1e-4, 1, 97)  # relative, smallest first: each a tenth larger than the one before


def smallest_caught(rule, trial):
    """The smallest of ERRORS that the rule rejects, by bisection; infinite if it takes them all."""
    low, high = 0, len(ERRORS)
    while low < high:
        middle = (low + high) // 2
        if rule(trial, trial.off_by(ERRORS[middle])):
            low = middle + 1
        else:
            high = middle
    return [*ERRORS, np.inf][high]


def measured(name, dtype, cases):
    """Of each rule, how many of the right results it rejects, and of the first cases the smallest error it catches."""
    rejected, caught = ({rule: [] for rule in RULES} for _ in range(2))
    for seed in range(cases):
        trial = Trial(name, seed, dtype)
        for rule, accepts in RULES.items():
            rejected[rule] += [not accepts(trial, arrays) for arrays in trial.right.values()]
            if seed * SHARE < cases:
                again = gradgate_again if accepts is gradgate else accepts
                caught[rule].append(smallest_caught(again, trial))
    return rejected, caught


def cell(rejected, caught):
    error = np.quantile(caught, 0.95, method="higher")
    return f"{np.mean(rejected):.1%} | {short(error)}"


def short(error):
    return f"{error:.1%}" if np.isfinite(error) else "none"


def table(dtype, cases):
    print(f"\n{dtype}, {cases} cases of each operator\n")
    print(f"| operator | {' | '.join(f'{rule}: rejected | caught' for rule in RULES)} |")
    print("|---" * (1 + 2 * len(RULES)) + "|", flush=True)
    pooled = {rule: ([], []) for rule in RULES}
    least = []
    for name in KINDS:
        rejected, caught = measured(name, dtype, cases)
        print(f"| {name} | {' | '.join(cell(rejected[rule], caught[rule]) for rule in RULES)} |", flush=True)
        for rule, (of_all, errors) in pooled.items():
            of_all.extend(rejected[rule])
            errors.extend(caught[rule])
        least.append(f"{name} {short(min(caught['gradgate']))}")
    print(f"| all | {' | '.join(cell(*both) for both in pooled.values())} |", flush=True)
    print(f"\nRight results that gradgate rejects: {sum(pooled['gradgate'][0])} of {len(pooled['gradgate'][0])}.")
    print(f"Caught in one of the first {-(-cases // SHARE)} cases at least: {', '.join(least)}.", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.benchmark.half", description=__doc__.partition(":")[2])
    parser.add_argument("--cases", type=int, default=1000, help="of each operator and dtype (1000)")
    cases = parser.parse_args().cases
    torch.set_num_threads(1)
    for dtype in "bfloat16", "float16":
        table(dtype, cases)


if __name__ == "__main__":
    main()
