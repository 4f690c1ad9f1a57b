"""Every private torch name that this project uses, in one place: a new torch release may move them.

tests/test_torch_private.py says which one has gone.
"""

from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["TARGET_SIZE_WARNING", "DispatchMode", "writes"]

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
