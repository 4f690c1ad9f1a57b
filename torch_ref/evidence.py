"""What a diagnosis is made from: the candidate's numbers on cases that tell mistakes apart."""

from dataclasses import replace

import numpy as np

from torch_ref.candidate import Candidate
from torch_ref.cases import Case, Shapes, draw
from torch_ref.comparison import Comparison, compare, label
from torch_ref.reference import Reference
from torch_ref.rounding import noise, unit_roundoff


def gather(candidate: Candidate, reference: Reference, shapes: Shapes, dtype: str) -> list[Comparison]:
    """Ordinary, well-conditioned cases of three telling shapes, with the noise of every tensor measured."""
    cases = (_well_conditioned(reference, sizes, dtype) for sizes in shapes.telling())
    return [compare(candidate, case, reference, lazy=False) for case in cases]


def _well_conditioned(reference: Reference, sizes: tuple[int, int, int, int], dtype: str) -> Case:
    """The first case of these sizes in which rounding is small beside every tensor: numbers can be recognised."""
    for seed in range(100):
        case = draw(*sizes, seed=seed, dtype=dtype)
        evaluate = reference.on(case)
        plain = evaluate()
        measured = noise(evaluate, plain)
        if all(measured[name] < 1e3 * unit_roundoff(case.dtype) * np.abs(plain[name]).max() for name in plain):
            break
    return case


def nearer(comparison: Comparison, reference: Reference) -> list[str]:
    """Of a float32 case: how far the candidate and autograd are off the result in float64."""
    case = comparison.case
    double = replace(
        case,
        inputs=case.inputs.astype(np.float64),
        targets=case.targets.astype(np.float64),
        parameters={name: array.astype(np.float64) for name, array in case.parameters.items()},
    )
    truth = reference.on(double)()
    lines = []
    for name, tensor in comparison.tensors.items():
        if not tensor.passed and tensor.problem is None:
            yours, autograd = (np.abs(of[name] - truth[name]).max() for of in (comparison.yours, comparison.autograd))
            lines.append(f"{label(name)} against float64: yours is off by {yours:.1e}, autograd by {autograd:.1e}")
    return lines
