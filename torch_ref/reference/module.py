"""Any nn.Module and a loss as the reference, with its owner's function to draw a batch."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from torch_ref.cases.case import Array
from torch_ref.cases.ranges import Range, demand_range
from torch_ref.reference.batches import BATCH, Batches
from torch_ref.reference.evaluation import ModuleReference
from torch_ref.results import Description


@dataclass(frozen=True, eq=False)
class Reference(ModuleReference):
    """Any network with its loss, and the data to compare on: what a hand-written backward pass is checked against.

    model: an nn.Module in float32 or float64, on the CPU, in training or evaluation mode as you set it. Its parameters
    are redrawn for each case, as its modules' own `reset_parameters` do; afterwards it is as it was, buffers included.

    loss(outputs, targets): of what the model returns, a scalar tensor. A function or a module.

    draw(rng, batch): the inputs and the targets for a batch of that size, two NumPy arrays with the batch first, from a
    np.random.Generator. Floating-point arrays are converted to the dtype of the check, integers are left as they are.

    batch: the smallest and the largest. name: how reports call it; else the model's and the loss's.

    A candidate is then called as candidate(inputs, targets, *parameters) and returns (loss, gradients), both in the
    order and the shapes of model.named_parameters(). Raises ValueError for a batch that is no range.

    >>> from torch.nn.functional import mse_loss
    >>> def draw(rng, batch):
    ...     return rng.standard_normal((batch, 3)), rng.standard_normal((batch, 2))
    >>> print(Reference(nn.Linear(3, 2), mse_loss, draw))
    Linear, mse_loss
    """

    model: nn.Module
    loss: Callable[[Any, Tensor], Tensor]
    draw: Callable[[np.random.Generator, int], tuple[Array, Array]]
    batch: Range = BATCH
    name: str = ""

    def __post_init__(self) -> None:
        demand_range("batch", self.batch)

    @property
    def network(self) -> nn.Module:
        """The module."""
        return self.model

    @property
    def loss_function(self) -> Callable[[Any, Tensor], Tensor]:
        """The loss."""
        return self.loss

    @cached_property
    def cases(self) -> Batches:
        """What draws its cases."""
        return Batches(self.model, self.draw, self.batch)

    @property
    def description(self) -> Description:
        """The module's class, with its layers' if it is a Sequential, and the loss's name or class."""
        model = type(self.model).__name__
        if isinstance(self.model, nn.Sequential):
            model += f"({', '.join(type(layer).__name__ for layer in self.model)})"
        loss = getattr(self.loss, "__name__", type(self.loss).__name__)
        words = ("--reference", self.name, "--max-batch", str(self.batch[1]))
        return Description(self.name or f"{model}, {loss}", model, loss, words)

    def as_parameter(self, array: Array, parameter: nn.Parameter) -> Tensor:  # noqa: ARG002  # a case has their shapes
        """The parameter's new value, on the memory of the case's array."""
        return torch.from_numpy(array)

    def with_largest_batch(self, largest: int) -> Self:
        """The same reference with batches up to this."""
        return replace(self, batch=(min(self.batch[0], largest), largest))

    def named(self, name: str) -> Self:
        """The same reference under this name."""
        return replace(self, name=name)
