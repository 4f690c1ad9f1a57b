"""The names of terms: what is traced under one keeps it."""

from typing import Any, TypeAlias

from torch import Tensor

from torch_ref.torch_private import tracing


def called(role: str, symbol: str) -> Any:
    """While entered, what is computed has this name, and this symbol in formulas."""
    return noted(role=role, symbol=symbol)


def noted(**what: Any) -> Any:
    """While entered, what is computed has this in its meta["custom"]."""
    return tracing().annotate(what)


Gradients: TypeAlias = tuple[Tensor | None, ...]
