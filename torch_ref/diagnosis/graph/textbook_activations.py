"""Softmax, log-softmax and GELU, as a textbook has them."""

from collections.abc import Callable, Mapping
from functools import cache
from math import pi, sqrt
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from torch_ref.diagnosis.graph.roles import called
from torch_ref.torch_private import tracing

aten: Any = torch.ops.aten


@cache
def torchs() -> Mapping[Any, Callable[..., Any]]:
    """What torch itself takes apart."""
    return MappingProxyType(tracing().core_aten_decompositions())


def softmax_of(x: Tensor, dim: int, _half_to_float: bool) -> Tensor:  # noqa: FBT001  # as torch has it
    """The largest of all is taken off, not that of each row: so another axis is another sum and nothing else."""
    exponentials = (x - x.amax()).exp()
    return exponentials / exponentials.sum(dim, keepdim=True)


def log_softmax_of(x: Tensor, dim: int, _half_to_float: bool) -> Tensor:  # noqa: FBT001  # likewise
    """Likewise."""
    shifted = x - x.amax()
    return shifted - shifted.exp().sum(dim, keepdim=True).log()


def gelu(g: Tensor, x: Tensor, *, approximate: str = "none") -> Tensor:
    """G (Φ(x) + x φ(x)), Φ the cumulated normal distribution and φ its density; the tanh formula as torch has it."""
    if approximate == "tanh":
        return torchs()[aten.gelu_backward.default](g, x, approximate=approximate)  # type: ignore[no-any-return]
    with called("Φ(x)", "Φ(x)"):
        cumulated = (1 + (x / sqrt(2)).erf()) * 0.5
    with called("the density φ(x)", "φ(x)"):
        density = (x * x * -0.5).exp() * (1 / sqrt(2 * pi))
    with called("the term x φ(x)", "x φ(x)"):
        term = x * density
    return g * (cumulated + term)


def softmax(g: Tensor, y: Tensor, dim: int, _dtype: torch.dtype) -> Tensor:
    """Y (g - Σ y g)."""
    with called("the term y · g", "y · g"):
        diagonal = g * y
    with called("the term y · Σ (y · g)", "y · Σ (y · g)"):
        rest = y * diagonal.sum(dim, keepdim=True)
    return diagonal - rest


def log_softmax(g: Tensor, y: Tensor, dim: int, _dtype: torch.dtype) -> Tensor:
    """G - softmax · Σ g."""
    with called("the softmax part", "softmax · Σ g"):
        rest = y.exp() * g.sum(dim, keepdim=True)
    return g - rest
