"""What may be asked of the two-layer network: activation, loss, reduction, and the sizes to draw. Imports no torch."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from torch_ref.cases.ranges import Range, demand_range

Activation: TypeAlias = Literal["sigmoid", "tanh", "relu"]
Loss: TypeAlias = Literal["bce", "mse", "half-mse"]
Reduction: TypeAlias = Literal["mean", "sum"]


@dataclass(frozen=True)
class Shapes:
    """The smallest and largest batch and widths to draw, both included. Raises ValueError for what is no range."""

    batch: Range = (1, 64)
    inputs: Range = (1, 5)
    hidden: Range = (1, 8)
    outputs: Range = (1, 1)

    def __post_init__(self) -> None:
        for name, bounds in vars(self).items():
            demand_range(name, bounds)
