"""Every private torch name that this project uses, in one place: a new torch release may move them.

tests/test_torch_private.py says which one has gone.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["TARGET_SIZE_WARNING", "DispatchMode", "Tracing", "tracing", "writes"]

# What torch warns of when a loss broadcasts its arguments.
TARGET_SIZE_WARNING = "target size"


class DispatchMode(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """A mode that sees every operator, forward and backward, below autograd; `__torch_dispatch__` is its hook."""

    # Nothing is compiled here, and asking dynamo to stay away would import it: a second or more.
    _should_skip_dynamo = classmethod(lambda _: False)

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # likewise


def writes(operator: Any) -> bool:
    """Whether an operator writes to an argument, as add_ does: its schema is the only place that says so."""
    return bool(operator._schema.is_mutable)  # noqa: SLF001  # see the top of this file


class Tracing(NamedTuple):
    """What tracing a graph of primitive operators takes."""

    make_fx: Callable[..., Any]
    core_aten_decompositions: Callable[[], dict[Any, Any]]
    get_decompositions: Callable[[list[Any]], dict[Any, Any]]
    annotate: Callable[[dict[str, Any]], Any]  # while entered, what is traced has this in meta["custom"]
    preserve_node_meta: Callable[[], Any]
    remember_forward: Callable[[list[Any]], None]  # what is traced after knows the seq_nr of the forward operator
    map_arg: Callable[..., Any]


@cache
def tracing() -> Tracing:
    """Imported when it is called: only failures pay for it, a second or so."""
    from torch._decomp import core_aten_decompositions, get_decompositions  # noqa: PLC0415  # costs a second
    from torch._functorch._aot_autograd.logging_utils import setup_stacktrace_preservation_hooks  # noqa: PLC0415
    from torch.fx.experimental.proxy_tensor import make_fx  # noqa: PLC0415
    from torch.fx.node import map_arg  # noqa: PLC0415
    from torch.fx.traceback import annotate, preserve_node_meta  # noqa: PLC0415

    return Tracing(
        *(make_fx, core_aten_decompositions, get_decompositions, annotate, preserve_node_meta),
        *(setup_stacktrace_preservation_hooks, map_arg),
    )
