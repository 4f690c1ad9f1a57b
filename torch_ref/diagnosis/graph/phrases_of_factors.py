"""What is wrong with a factor: a number, a value of the network, the one that belongs to another."""

from typing import Any

import torch
from torch.fx import Node

from torch_ref.diagnosis.factors import Factor
from torch_ref.diagnosis.graph.formulas import formula
from torch_ref.diagnosis.graph.naming import argument, subject, told_apart
from torch_ref.diagnosis.graph.origin import origin_of
from torch_ref.diagnosis.graph.slopes import AFTER
from torch_ref.diagnosis.graph.trace import Trace

aten: Any = torch.ops.aten
SCALINGS = aten.mul.Scalar, aten.mul.Tensor


def weighted(trace: Trace, i: int, first: float, second: float) -> str:
    """Two terms with wrong weights: a missing one first, if one is."""
    weights = (first, second)
    parts = [_weighted(trace, i, j, weights) for j in sorted((0, 1), key=lambda j: bool(weights[j]))]
    return f"{parts[0]}{'' if all(weights) else ','} and {parts[1]}{_smoothing(trace, i, weights)}"


def _weighted(trace: Trace, i: int, j: int, weights: tuple[float, float]) -> str:
    scale, weight = _scale(trace, i, j), weights[j]
    if all(weights) and scale:
        return f"{scale * weight:.6g} stands in place of {scale:.6g}"
    what = argument(trace, i, j)
    is_named = "`" in what or not scale
    what = what if is_named else f"the term of weight {scale:.6g}"
    if not weight:
        return f"{what} is missing"
    if not scale:
        return f"{what} counts {Factor(weight, ())} times"
    return f"{what} has the weight {scale * weight:.6g}{f', not {scale:.6g}' if is_named else ''}"


def _scale(trace: Trace, i: int, j: int) -> float:
    """The number that a term is multiplied by, or 0."""
    term = trace.nodes[i].args[j]
    scale = term.args[1] if isinstance(term, Node) and term.target in SCALINGS else None
    return scale if isinstance(scale, float) else 0.0


def _smoothing(trace: Trace, i: int, weights: tuple[float, float]) -> str:
    """That these are the target's logarithm, by 1 - ε, and those of all classes, by ε / classes, as torch has it."""
    target, every = (_scale(trace, i, j) for j in (0, 1))
    is_smoothed = 0 < every < 1 and abs((1 - target) / every - round((1 - target) / every)) < 1e-9 < 1 - target
    is_torchs = is_smoothed and not origin_of(trace, i).line
    return (
        ": the label smoothing is missing"
        if is_torchs and not weights[1] and abs(target * weights[0] - 1) < 1e-9
        else ""
    )


def stray(trace: Trace, i: int, j: int, power: float) -> str:
    """A factor too many or too few."""
    what = formula(trace, j, 3, top=False)
    what = f"√({what})" if abs(power) < 1 else what
    times = " twice" if abs(power) > 1 else ""
    if power < 0:
        return f"{subject(trace, i)} lacks the factor {what.removeprefix('the ')}{times}, or is divided by it{times}"
    return f"{subject(trace, i)} is multiplied by {what}{times} too often"


def stray_term(trace: Trace, i: int, j: int, _power: float) -> str:
    """A factor too many in what is summed."""
    summed, factor = argument(trace, i, 0), formula(trace, j, 3, top=False)
    return f"{summed} · {factor} is summed, not {summed}"


def stray_slope(trace: Trace, i: int, j: int, name: str) -> str:
    """The derivative of an activation that is not there."""
    what = formula(trace, j, 3, top=False)
    return f"{subject(trace, i)} is multiplied by {name} too often, y being {what}: the derivative of a {AFTER[name]}"


def in_place_of(trace: Trace, i: int, j: int, k: int, power: int) -> str:
    """A factor that is another value's."""
    there, belongs = told_apart(trace, j, k)
    raised = "²" if power == 2 else ""
    off = f"{subject(trace, i)} is off by the factor ({there} / {belongs}){raised}"
    return f"{off}: the one stands where the other belongs"


def scaled(trace: Trace, i: int, factor: Factor) -> str:
    """A factor that is another number; the constant that it makes of the one that is there."""
    node = trace.nodes[i]
    constants = [argument for argument in node.args if isinstance(argument, float)]
    if node.target in SCALINGS and len(constants) == 1 and not factor.powers:
        new, old = factor.constant * constants[0], f"{constants[0]:.6g}"
        is_written = abs(float(f"{new:.6g}") / new - 1) < 1e-9  # so that it may stand in the code
        return f"{f'{new:.6g}' if is_written else f'{factor} · {old}'} stands in place of {old}"
    return f"{subject(trace, i)} is {factor} times what it should be"
