"""What is wrong with a factor: a number, a value of the network, the one that belongs to another."""

from typing import Any

import torch
from torch.fx import Node

from torch_ref.diagnosis.factors import Factor
from torch_ref.diagnosis.graph.formulas import formula
from torch_ref.diagnosis.graph.naming import argument, subject, told_apart
from torch_ref.diagnosis.graph.slopes import AFTER
from torch_ref.diagnosis.graph.trace import Trace

aten: Any = torch.ops.aten
SCALINGS = aten.mul.Scalar, aten.mul.Tensor


def weighted(trace: Trace, i: int, first: float, second: float) -> str:
    """Two terms with wrong weights."""
    told = []
    for j, weight in enumerate((first, second)):
        term = trace.nodes[i].args[j]
        scale = term.args[1] if isinstance(term, Node) and term.target in SCALINGS else None
        if isinstance(scale, float):
            told.append(f"{scale * weight + 0.0:.6g} stands in place of {scale:.6g}")
        else:
            told.append(f"{argument(trace, i, j)} counts {Factor(weight, ())} times")
    return " and ".join(told)


def stray(trace: Trace, i: int, j: int, power: float) -> str:
    """A factor too many or too few."""
    what = formula(trace, j, 3, top=False)
    what = f"√({what})" if abs(power) < 1 else what
    times = " twice" if abs(power) > 1 else ""
    if power < 0:
        return f"{subject(trace, i)} lacks the factor {what.removeprefix('the ')}{times}, or is divided by it{times}"
    return f"{subject(trace, i)} is multiplied by {what}{times} too often"


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
