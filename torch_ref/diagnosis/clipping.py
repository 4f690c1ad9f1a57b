"""Gradients that are clipped before they come back: element by element, by the norm of each, or by that of all."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from torch_ref.cases.case import Numbers
from torch_ref.diagnosis.evidence import Evidence
from torch_ref.results import Comparison, Finding


class Clipping(NamedTuple):
    """How it is called, what is limited (by name), and the gradients that a limit gives."""

    name: str
    size: Callable[[Numbers], dict[str, float]]
    clip: Callable[[Numbers, float], Numbers]


def _norms(gradients: Numbers) -> dict[str, float]:
    return {name: float(np.linalg.norm(gradient)) for name, gradient in gradients.items()}


def _norm(gradients: Numbers) -> dict[str, float]:
    """Of all together, under each name."""
    return dict.fromkeys(gradients, float(np.linalg.norm(list(_norms(gradients).values()))))


def _scaled(gradients: Numbers, norms: dict[str, float], limit: float) -> Numbers:
    return {name: g * min(1.0, limit / norms[name]) if norms[name] else g for name, g in gradients.items()}


KINDS = (
    Clipping(
        "each element at ±{limit:.6g}",
        lambda gradients: {name: float(np.abs(g).max()) for name, g in gradients.items()},
        lambda gradients, limit: {name: g.clip(-limit, limit) for name, g in gradients.items()},
    ),
    Clipping("its norm at {limit:.6g}", _norms, lambda gradients, limit: _scaled(gradients, _norms(gradients), limit)),
    Clipping(
        "the norm of all gradients at {limit:.6g}",
        _norm,
        lambda gradients, limit: _scaled(gradients, _norm(gradients), limit),
    ),
)


def clipped(evidence: Evidence, wrong: list[str]) -> Iterator[Finding]:
    """Gradients that are autograd's, clipped at one limit in every case."""
    judged = _judged(evidence.first)
    for kind in KINDS:
        names = [name for name in wrong if name in judged]
        if not names or not all(_comparable(evidence, name) for name in judged):
            return
        limits = {name: limit for name in names if (limit := _limit(evidence, kind, name))}
        for digits in dict.fromkeys(f"{limit:.9g}" for limit in limits.values()):
            found = tuple(name for name in limits if f"{limits[name]:.9g}" == digits)
            words = kind.name.format(limit=float(digits))
            text = f"{evidence.labels(found)}: clipped, {words}; clip where you take the step, not in the gradient."
            yield Finding("mistake", f"clipped, {words}", found, text)
            wrong = [name for name in wrong if name not in found]


def _comparable(evidence: Evidence, name: str) -> bool:
    return all(comparison.lines[name].problem is None for comparison in evidence.comparisons)


def _limit(evidence: Evidence, kind: Clipping, name: str) -> float | None:
    """The limit at which `kind` gives the candidate's gradient in every case, if there is one."""
    comparisons = evidence.comparisons
    with np.errstate(over="ignore", invalid="ignore"):  # a candidate's numbers may be of any size
        limit = next(kind.size(_gradients(of, of.yours))[name] for of in comparisons if not of.lines[name].passed)
        found = all(_reproduces(of, kind.clip(_gradients(of, of.autograd), limit), name) for of in comparisons)
    return limit if found else None


def _gradients(comparison: Comparison, numbers: Numbers) -> Numbers:
    return {name: numbers[name].astype(float) for name in _judged(comparison)}


def _judged(comparison: Comparison) -> list[str]:
    """The names of the gradients; of less than all, if no more was asked for."""
    return [name for name in comparison.case.differentiated if name in comparison.lines]


def _reproduces(comparison: Comparison, made: Numbers, name: str) -> bool:
    return bool(np.abs(comparison.yours[name] - made[name]).max() <= comparison.lines[name].allowed)
