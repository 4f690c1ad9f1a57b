"""Checks a hand-written backward pass against PyTorch's autograd. These are all the public names."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch_ref.checking import assert_matches_autograd, check
    from torch_ref.errors import ContractError, UnusableError
    from torch_ref.reference.module import Reference
    from torch_ref.reference.operator import Operator
    from torch_ref.report import Report
    from torch_ref.results import Finding
    from torch_ref.two_layers.options import Shapes
    from torch_ref.two_layers.reference import TwoLayers

    __version__: str

__all__ = [
    "ContractError",
    "Finding",
    "Operator",
    "Reference",
    "Report",
    "Shapes",
    "TwoLayers",
    "UnusableError",
    "__version__",
    "assert_matches_autograd",
    "check",
]

# Imported when first asked for: the command answers `--help`, and a candidate's own process starts, without torch.
_HOMES = {
    "ContractError": "torch_ref.errors",
    "Finding": "torch_ref.results",
    "Operator": "torch_ref.reference.operator",
    "Reference": "torch_ref.reference.module",
    "Report": "torch_ref.report",
    "Shapes": "torch_ref.two_layers.options",
    "TwoLayers": "torch_ref.two_layers.reference",
    "UnusableError": "torch_ref.errors",
    "assert_matches_autograd": "torch_ref.checking",
    "check": "torch_ref.checking",
}


if not TYPE_CHECKING:  # a type checker that saw this would take any name for one of ours

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            from importlib.metadata import version  # noqa: PLC0415  # takes as long as all the rest

            return version("gradgate")
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
