"""What a diagnosis is made from: the candidate's numbers on cases that tell mistakes apart."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from torch_ref.candidate import Candidate
from torch_ref.cases import Array, Case, Sizes, label
from torch_ref.comparison import Comparison, compare
from torch_ref.reference import Reference
from torch_ref.rounding import noise, unit_roundoff

TRIES = 20


@dataclass(frozen=True)
class Evidence:
    """A candidate held against a reference on ordinary, well-conditioned cases of three sizes, all noise measured."""

    candidate: Candidate
    reference: Reference
    comparisons: list[Comparison]

    @property
    def first(self) -> Comparison:
        """The comparison on the smallest case."""
        return self.comparisons[0]

    @property
    def wrong(self) -> list[str]:
        """The tensors that differ in any case; all must have come."""
        return [name for name in self.first.tensors if not all(of.tensors[name].passed for of in self.comparisons)]


def gather(candidate: Candidate, reference: Reference, dtype: str) -> Evidence:
    """The evidence about a candidate."""
    telling = enumerate(reference.cases.telling())
    # Of other seeds each: a factor that comes of a parameter's value is no constant.
    cases = (_well_conditioned(reference, sizes, dtype, range(TRIES * i, TRIES * (i + 1))) for i, sizes in telling)
    return Evidence(candidate, reference, [compare(candidate, case, reference, lazy=False) for case in cases])


def _well_conditioned(reference: Reference, sizes: Sizes, dtype: str, seeds: range) -> Case:
    """The first case of these sizes in which rounding is small beside every tensor: numbers can be recognised."""
    for seed in seeds:
        case = reference.cases.draw(*sizes, seed=seed, dtype=dtype)
        plain = reference.evaluate(case)
        measured = noise(partial(reference.evaluate, case), plain)
        if all(measured[name] < 1e3 * unit_roundoff(case.dtype) * np.abs(plain[name]).max() for name in plain):
            break
    return case


def nearer(comparison: Comparison, reference: Reference) -> list[str]:
    """Of a float32 case: how far the candidate and autograd are off the result in float64."""
    case = comparison.case
    double = replace(
        case,
        inputs=_widened(case.inputs),
        targets=_widened(case.targets),
        parameters={name: _widened(array) for name, array in case.parameters.items()},
    )
    truth = reference.evaluate(double)
    lines = []
    for name, tensor in comparison.tensors.items():
        if not tensor.passed and tensor.problem is None:
            yours, autograd = (np.abs(of[name] - truth[name]).max() for of in (comparison.yours, comparison.autograd))
            lines.append(f"{label(name)} against float64: yours is off by {yours:.1e}, autograd by {autograd:.1e}")
    return lines


def _widened(array: Array) -> Array:
    return array.astype(np.float64) if array.dtype.kind == "f" else array
