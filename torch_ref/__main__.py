"""The command: `gradgate`, or `python -m torch_ref`."""

import platform
import sys
from importlib.metadata import version

import numpy as np
import torch

import numpy_impl
from numpy_impl import Parameters, xor
from torch_ref.cases import Shapes
from torch_ref.gate import check
from torch_ref.report import table
from torch_ref.training import lockstep


def main() -> int:
    """Hold `numpy_impl` against autograd. Returns the exit status: 0 when all agrees, 1 when not."""
    torch.set_num_threads(1)
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "torch", "hypothesis"))
    print(f"gradgate {version('gradgate')} on Python {platform.python_version()}, {versions}")
    reports = [
        check(numpy_impl.loss_and_grads, dtype=dtype, shapes=Shapes(outputs=(1, 3))) for dtype in ("float64", "float32")
    ]
    print(f"{reports[0].name} against autograd of {reports[0].reference}\n")
    print(table(reports))

    seed = xor.PRINTED[0].seed
    start = Parameters.from_seed(seed)
    inputs, targets = xor.INPUTS.astype(np.float64), xor.TARGETS.astype(np.float64)
    run = lockstep(inputs, targets, start, xor.LEARNING_RATE, xor.STEPS, reduction="sum")
    print(f"\nXOR from the article's seed {seed}, {run.steps} steps in NumPy and in torch.optim.SGD side by side:")
    print(
        f"at most {run.loss:.1e} apart in the loss and {run.parameters:.1e} in a parameter (allowed {run.allowed:.1e})"
    )

    passed = run.passed and all(report.passed for report in reports)
    print(f"\n{'PASS' if passed else 'FAIL'}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
