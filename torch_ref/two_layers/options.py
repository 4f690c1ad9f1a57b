"""What may be asked of the two-layer network: activation, loss, reduction, layout, sizes to draw. Imports no torch."""

import re
from dataclasses import dataclass
from itertools import product
from typing import Literal, NamedTuple, TypeAlias

from torch_ref.cases.ranges import Range, demand_range

Activation: TypeAlias = Literal["sigmoid", "tanh", "relu"]
Loss: TypeAlias = Literal["bce", "mse", "half-mse"]
Reduction: TypeAlias = Literal["mean", "sum"]


@dataclass(frozen=True)
class Shapes:
    """The smallest and largest batch and widths to draw, both included. Raises ValueError for what is no range.

    One that is given, though it is the same as the default, is not `left`: then nothing beyond it is drawn.
    """

    batch: Range = (1, 64)
    inputs: Range = (1, 5)
    hidden: Range = (1, 8)
    outputs: Range = (1, 1)

    def __post_init__(self) -> None:
        for name, bounds in vars(self).items():
            demand_range(name, bounds)

    def left(self, name: str) -> bool:
        """Whether this range was left at its default."""
        return getattr(self, name) is getattr(Shapes, name)  # that object, not one that equals it


INPUTS, WEIGHTS = ("(batch, in)", "(in, batch)"), ("(hidden, in)", "(in, hidden)")
BIASES = ("(hidden, 1)", "(1, hidden)", "(hidden,)")


class Layout(NamedTuple):
    """How a candidate's arrays lie: the shapes of inputs, W1 and B1. Targets follow inputs; W2 and B2 the others.

    >>> print(Layout.of("(in, batch) (hidden, in) (hidden,)"))
    inputs (in, batch), W1 (hidden, in), B1 (hidden,)
    """

    inputs: str = INPUTS[0]
    weights: str = WEIGHTS[0]
    biases: str = BIASES[0]

    @classmethod
    def of(cls, text: str) -> "Layout":
        """The layout that three shapes in a text stand for. Raises ValueError for anything else."""
        found = [re.sub(r"\s", "", shape) for shape in re.findall(r"\([^()]*\)", text)]
        choices = [{re.sub(r"\s", "", shape): shape for shape in shapes} for shapes in (INPUTS, WEIGHTS, BIASES)]
        if len(found) != 3 or any(shape not in known for shape, known in zip(found, choices, strict=True)):
            known = "; ".join(
                f"{name} {' or '.join(of.values())}" for name, of in zip(cls._fields, choices, strict=True)
            )
            raise ValueError(f"layout: {text!r}, expected the shapes of inputs, W1 and B1: {known}")
        return cls(*(known[shape] for shape, known in zip(found, choices, strict=True)))

    def __str__(self) -> str:
        return f"inputs {self.inputs}, W1 {self.weights}, B1 {self.biases}"


OURS = Layout()
LAYOUTS = tuple(Layout(*shapes) for shapes in product(INPUTS, WEIGHTS, BIASES))  # ours first
