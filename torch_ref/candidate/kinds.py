"""What a candidate is, as far as can be told without calling it. Imports neither NumPy nor torch."""

import inspect
import sys
from collections.abc import Mapping
from typing import Any


def parameters_of(code: Any) -> Mapping[str, inspect.Parameter]:
    """The parameters of a function by name; none of what has no signature."""
    try:
        return inspect.signature(code).parameters
    except Exception:  # noqa: BLE001  # a pair, a builtin; an object that is strange about its own
        return {}


def takes(code: Any, count: int) -> bool:
    """Whether it can be called with so many arguments; True of what has no signature."""
    try:
        inspect.signature(code).bind(*range(count))
    except TypeError:
        return False
    except Exception:  # noqa: BLE001  # a builtin without a signature; an object that is strange about its own
        return True
    return True


def takes_at_most(code: Any, count: int) -> bool:
    """Whether it can be called with so many arguments, and with no more."""
    return takes(code, count) and not takes(code, count + 1)


def is_function(code: Any) -> bool:
    """Whether it is a torch.autograd.Function."""
    return isinstance(code, type) and issubclass(code, _of_torch("autograd", "Function"))


def is_module(code: Any) -> bool:
    """Whether it is an nn.Module."""
    return isinstance(code, _of_torch("nn", "Module"))


def _of_torch(package: str, name: str) -> Any:
    """The class; () if torch is not imported, or is a torch.py of their own: nothing is an instance of that."""
    return getattr(getattr(sys.modules.get("torch"), package, None), name, ())


def meant(code: Any) -> Any:
    """The torch.autograd.Function whose `apply` it is; anything else itself."""
    owner = getattr(code, "__self__", None)
    return owner if is_function(owner) and getattr(code, "__name__", "") == "apply" else code


def pair_of(code: Any) -> tuple[Any, ...]:
    """The pair that it is, or the forward and backward that can be called on it; () for anything else."""
    if isinstance(code, tuple):
        return code
    if is_function(code) or is_module(code):
        return ()
    pair = tuple(getattr(code, name, None) for name in ("forward", "backward"))
    needs_object = isinstance(code, type) and any("self" in parameters_of(method) for method in pair)
    return () if needs_object or not all(map(callable, pair)) else pair


def form_of_operators(code: Any) -> str:
    """What it is, if only an operator's candidate can be that; else ""."""
    if isinstance(code, tuple):
        return "a pair of functions"
    if is_function(code):
        return "a torch.autograd.Function"
    if is_module(code):
        return "an nn.Module"
    return "" if callable(code) else "an object with forward and backward"
