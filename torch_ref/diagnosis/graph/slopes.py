"""The derivative of an activation by another formula than its own."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from torch_ref.diagnosis.graph.change import SIMPLE, Change
from torch_ref.diagnosis.graph.influence import Influence
from torch_ref.diagnosis.graph.nodes import Values, is_backward, is_real
from torch_ref.diagnosis.graph.origin import origin_of
from torch_ref.diagnosis.graph.trace import Trace
from torch_ref.diagnosis.graph.vocabulary import operator


def _leaky(a: float, x: Tensor, _y: Tensor) -> Tensor:
    return torch.where(x > 0, torch.ones_like(x), a)


aten: Any = torch.ops.aten


# Of the input x and the output y of an activation.
FORMULAS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "1": lambda x, _: torch.ones_like(x),
    "y (1 - y)": lambda _, y: y * (1 - y),
    "1 - y²": lambda _, y: 1 - y * y,
    "1 - 2ʸ": lambda _, y: 1 - 2**y,
    "1 - x²": lambda x, _: 1 - x * x,
    "x (1 - x)": lambda x, _: x * (1 - x),
    "1 - y": lambda _, y: 1 - y,
    "y": lambda _, y: y,
    "x": lambda x, _: x,
    "y²": lambda _, y: y * y,
    "1 where x > 0, else 0": lambda x, _: (x > 0).to(x.dtype),
    "1 where y > 0, else 0": lambda _, y: (y > 0).to(y.dtype),
    "the sign of x": lambda x, _: x.sign(),
    "σ(x)": lambda x, _: x.sigmoid(),
    "σ′(x)": lambda x, _: x.sigmoid() * (1 - x.sigmoid()),
    "σ′(y)": lambda _, y: y.sigmoid() * (1 - y.sigmoid()),
    "tanh′(x)": lambda x, _: 1 - x.tanh() ** 2,
    "tanh′(y)": lambda _, y: 1 - y.tanh() ** 2,
    "Φ(x)": lambda x, _: torch.special.ndtr(x),
    "σ(1.702 x)": lambda x, _: (1.702 * x).sigmoid(),
    "the derivative of x σ(1.702 x)": lambda x, _: _slope(lambda z: z * (1.702 * z).sigmoid(), x),
    "the derivative of GELU, of x": lambda x, _: _slope(torch.nn.functional.gelu, x),
    "the derivative of GELU by its tanh formula, of x": lambda x, _: _slope(_gelu_tanh, x),
    "the derivative of SiLU, of x": lambda x, _: _slope(torch.nn.functional.silu, x),
    "the derivative of softplus, of y": lambda _, y: _slope(torch.nn.functional.softplus, y),
    "eˣ": lambda x, _: x.exp(),
    "1 where x > 0, else eˣ": lambda x, _: torch.where(x > 0, 1.0, x.exp()),
    "1 where x > 0, else y + 1": lambda x, y: torch.where(x > 0, 1.0, y + 1),
    "1 where x > 0, else y": lambda x, y: torch.where(x > 0, 1.0, y),
    "x σ′(x), without its first term σ(x)": lambda x, _: x * x.sigmoid() * (1 - x.sigmoid()),
    **{f"1 where x > 0, else {a}": partial(_leaky, a) for a in (0.01, 0.05, 0.1, 0.2, 0.25, 0.3)},
    "y / x": lambda x, y: y / x,
    "1 / x": lambda x, _: 1 / x,
    "2 x": lambda x, _: 2 * x,
}

AFTER = {"1 - y²": "tanh", "y (1 - y)": "σ", "1 where y > 0, else 0": "ReLU"}  # of what these are the derivatives

# What belongs there, of g, the gradient that comes in: by what the operator is called.
DERIVATIVES = {
    "ReLU": "g where x > 0, else 0",
    "leaky ReLU": "g where x > 0, else g times the slope",
    "PReLU": "g where x > 0, else g times the slope",
    "sigmoid": "g · y (1 - y)",
    "tanh": "g · (1 - y²)",
    "ELU": "g where x > 0, else g · α eˣ",
    "CELU": "g where x > 0, else g · exp(x/α)",
    "SELU": "g · λ where x > 0, else g · λ α eˣ",
    "GELU": "g · (Φ(x) + x φ(x))",
    "GELU by its tanh formula": "g times the derivative of GELU's tanh formula",
    "SiLU": "g · σ(x) (1 + x (1 - σ(x)))",
    "Mish": "g · (t + x (1 - t²) σ(x)), t = tanh(softplus(x))",
    "softplus": "g · σ(β x)",
    "log-sigmoid": "g · (1 - σ(x))",
    "hardtanh": "g between the limits, else 0",
    "hardsigmoid": "g / 6 where -3 < x < 3, else 0",
    "hardswish": "g · (x / 3 + 1/2) where -3 < x < 3, g where x ≥ 3, else 0",
    "softshrink": "g where |x| > λ, else 0",
    "hardshrink": "g where |x| > λ, else 0",
    "absolute value": "g · sign(x)",
    "exp": "g · y",
    "log": "g / x",
    "square root": "g / (2 y)",
    "reciprocal": "-g · y²",
}


def _gelu_tanh(x: Tensor) -> Tensor:
    return torch.nn.functional.gelu(x, approximate="tanh")


def _slope(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    leaf = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        return torch.autograd.grad(f(leaf).sum(), leaf)[0]


SIDES: dict[str, Callable[[Tensor], Tensor]] = {"": torch.ones_like, "eˣ": lambda x: x.clamp(max=0).exp()}
LEAST = 1e-9  # a slope
CONSTANTS = aten.full.default, aten.scalar_tensor.default, aten.zeros_like.default, aten.zeros.default
LINEAR = {"mul", "div", "add", "sub", "rsub", "neg", "cumsum", "flip"}  # others say better what is wrong with these


def slopes(trace: Trace, i: int) -> Iterator[Change]:
    """Every other formula, where this node is the last of the backward pass of an activation."""
    if found := activation_of(trace, i):
        operator = _operator(trace, found[1])
        if "log_softmax" in operator:  # to pass it on is to leave out the softmax part, which has a name
            return
        for name in FORMULAS if "softmax" not in operator else ("1",):
            has_slope = operator == "leaky_relu" and name.startswith("1 where x > 0, else 0.")
            if operator not in LINEAR and not has_slope:  # that it is another one is said of it
                yield Change(SIMPLE, "slope", (name,), partial(_by, name))


def of_two_sides(trace: Trace, i: int, influence: Influence) -> Iterator[Change]:
    """A slope of its own on each side of 0, such that the gradient there is what the candidate has."""
    if (found := activation_of(trace, i)) and i in influence.jacobians:
        x, g = trace.values[found[0]], trace.values[found[2]]
        operator = _operator(trace, found[1])
        is_activation = operator not in {*LINEAR, "leaky_relu"} and "softmax" not in operator
        for name in SIDES if is_activation and (x > 0).any() and (x < 0).any() else ():
            above, below = g * (x > 0), torch.where(x > 0, 0.0, g * SIDES[name](x))
            if weights := influence.weights(i, [above, below]):
                a, b = (float(f"{weight:.6g}") for weight in weights)
                below_0 = f"{b:g} {name}" if name and b != 1 else name or f"{b:g}"
                side = f"{a:g} where x > 0, else {below_0}"
                if min(abs(a), abs(b), abs(a - b) + bool(name)) > LEAST:  # others say that one is 0, or both are alike
                    yield Change(SIMPLE, "slope", (side,), partial(_by_sides, a, b, name))


def _by_sides(a: float, b: float, name: str, trace: Trace, values: Values, node: Node) -> Tensor:
    x, _, g = activation_of(trace, trace.position[node]) or (0, 0, 0)
    return values[g] * torch.where(values[x] > 0, a, b * SIDES[name](values[x]))  # type: ignore[no-any-return]


def _operator(trace: Trace, i: int) -> str:
    return str(trace.nodes[i].meta.get("original_aten")).removeprefix("aten.").partition(".")[0]


def _by(name: str, trace: Trace, values: Values, node: Node) -> Tensor:
    x, y, g = activation_of(trace, trace.position[node]) or (0, 0, 0)
    return values[g] * FORMULAS[name](values[x], values[y])  # type: ignore[no-any-return]


def activation_of(trace: Trace, i: int) -> tuple[int, int, int] | None:
    """The positions of its input x, of its output y and of ∂L/∂y, if this node gives ∂L/∂x of an activation."""
    block = trace.blocks[trace.number(i)]
    there = [j for j in block if not is_backward(trace.nodes[j])]
    back = [j for j in block if is_backward(trace.nodes[j])]
    if not there or not back or i != back[-1] or not trace.reach[there[-1]]:
        return None
    x = _from_outside(trace, there, backward=False)
    g = _from_outside(trace, back, backward=True)
    if len(x) != 1 or len(g) != 1 or not is_real(trace.values[there[-1]]):
        return None
    shapes = {trace.values[j].shape for j in (x[0], there[-1], g[0], i)}
    return (x[0], there[-1], g[0]) if len(shapes) == 1 else None


def derivative_of(trace: Trace, i: int) -> str:
    """What belongs at the last node of an activation's backward pass: GELU has two forms."""
    forward = [trace.nodes[j] for j in trace.blocks[trace.number(i)] if not is_backward(trace.nodes[j])]
    name = operator(origin_of(trace, i).operator)
    form = " by its tanh formula" if any(node.target is torch.ops.aten.tanh.default for node in forward) else ""
    return DERIVATIVES.get(f"{name}{form}", DERIVATIVES.get(name, ""))


def _from_outside(trace: Trace, block: Sequence[int], *, backward: bool) -> list[int]:
    """What a block is computed from: real numbers, of the same pass."""
    sources = {trace.position[source] for j in block for source in trace.nodes[j].all_input_nodes} - set(block)
    given = [j for j in sources if is_real(trace.values[j])]
    if not backward:
        return [j for j in given if trace.nodes[j].target not in CONSTANTS]
    upstream = {j for j, name in enumerate(trace.names) if name in trace.case.upstream}
    return [j for j in given if is_backward(trace.nodes[j]) or j in upstream]
