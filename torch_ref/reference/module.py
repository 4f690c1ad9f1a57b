"""Any nn.Module and a loss as the reference, with its owner's function to draw a batch."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from torch import Tensor, nn

from torch_ref.cases.case import Case, Numbers
from torch_ref.cases.ranges import Range, demand_range
from torch_ref.errors import UnusableError
from torch_ref.precision import Precision
from torch_ref.reference.batches import BATCH, Batches, Data, usable, words_of
from torch_ref.reference.evaluation import ModuleReference
from torch_ref.reference.tensors import array_of
from torch_ref.results import Description


@dataclass(frozen=True, eq=False)
class Reference(ModuleReference):
    """Any network with its loss, and the data to compare on: what a hand-written backward pass is checked against.

    model: an nn.Module in float32 or float64, on the CPU, in training or evaluation mode as you set it. Its parameters
    are redrawn for each case, as its modules' own `reset_parameters` do; afterwards it is as it was, buffers included.
    Those that do not require a gradient are passed, and have none.

    loss(outputs, targets): of what the model returns, a scalar tensor. A function or a module.

    draw(rng, batch): the inputs and the targets for a batch of that size, from a np.random.Generator: each a NumPy
    array with the batch first, or several in a tuple or in a dict. The model is called as model(inputs), model(*inputs)
    or model(**inputs), the loss with the targets as they are. Floating-point arrays are converted to the dtype of the
    check, integers are left as they are.

    batch: the smallest and the largest. name: how reports call it; else the model's and the loss's. inputs: whether the
    gradient to the floating-point inputs is asked for too. buffers: whether the model's buffers (running statistics,
    as they are) are passed as arguments, after the parameters.

    A candidate is called as candidate(inputs, targets, *parameters) and returns (loss, gradients), both in the order
    and the shapes of model.named_parameters(); the gradients to the inputs, if asked for, come first. Raises ValueError
    for a batch that is no range.

    >>> from torch.nn.functional import mse_loss
    >>> def draw(rng, batch):
    ...     return rng.standard_normal((batch, 3)), rng.standard_normal((batch, 2))
    >>> print(Reference(nn.Linear(3, 2), mse_loss, draw))
    Linear, mse_loss
    """

    model: nn.Module
    loss: Callable[[Any, Any], Tensor]
    draw: Callable[[np.random.Generator, int], tuple[Any, Any]]
    batch: Range = BATCH
    name: str = ""
    inputs: bool = False
    buffers: bool = False

    def __post_init__(self) -> None:
        demand_range("batch", self.batch)

    @property
    def network(self) -> nn.Module:
        """The module."""
        return self.model

    @property
    def loss_function(self) -> Callable[[Any, Any], Tensor]:
        """The loss."""
        return self.loss

    @cached_property
    def cases(self) -> "ModuleBatches":
        """What draws its cases."""
        return ModuleBatches(self.model, self.draw, self.batch, self)

    @property
    def description(self) -> Description:
        """The module's class, with its layers' if it is a Sequential, and the loss's name or class."""
        model = type(self.model).__name__
        if isinstance(self.model, nn.Sequential):
            model += f"({', '.join(type(layer).__name__ for layer in self.model)})"
        loss = getattr(self.loss, "__name__", type(self.loss).__name__)
        return Description(self.name or f"{model}, {loss}", model, loss, words_of(self.name, self.batch))

    def with_largest_batch(self, largest: int) -> Self:
        """The same reference with batches up to this."""
        return replace(self, batch=(min(self.batch[0], largest), largest))

    def named(self, name: str) -> Self:
        """The same reference under this name."""
        return replace(self, name=name)


@dataclass(frozen=True)
class ModuleBatches(Batches):
    """Cases of a module: its inputs and targets, its parameters, its buffers if they are asked for."""

    reference: Reference

    def data_of(self, drawn: Any, precision: Precision) -> Data:
        """Inputs and targets by name; several are called inputs[0], inputs[1], ... or by their keys."""
        if not isinstance(drawn, tuple) or len(drawn) != 2:
            raise UnusableError(f"reference: draw returned a {type(drawn).__name__}, expected (inputs, targets)")
        arrays: Numbers = {}
        packs: dict[str, Any] = {}
        for whole, value in zip(("inputs", "targets"), drawn, strict=True):
            if isinstance(value, tuple | dict):
                parts = value if isinstance(value, dict) else dict(enumerate(value))
                names = {key: f"{whole}[{key}]" for key in parts}
                packs[whole] = tuple(names.values()) if isinstance(value, tuple) else names
            else:
                parts, names = {whole: value}, {whole: whole}
            arrays.update({names[key]: usable(names[key], part, precision) for key, part in parts.items()})
        return Data(arrays, packs)

    def complete(self, case: Case, rng: np.random.Generator) -> Case:  # noqa: ARG002  # nothing is left to draw
        """Which arguments are differentiated; and the buffers."""
        parameters = {name for name, parameter in self.reference.model.named_parameters() if parameter.requires_grad}
        wanted = {
            n for n, a in case.arguments.items() if self.reference.inputs and _is_input(n) and a.dtype.kind == "f"
        }
        names = tuple(name for name in case.arguments if name in parameters | wanted)
        if not names:
            (first, _), *_ = self.reference.model.named_parameters()
            raise UnusableError(f"reference: {first} does not require a gradient, expected one parameter at least to")
        buffers = dict(self.reference.model.named_buffers()) if self.reference.buffers else {}
        arrays = {name: usable(name, array_of(buffer), case.precision) for name, buffer in buffers.items()}
        return replace(case, arguments=case.arguments | arrays, differentiated=names)


def _is_input(name: str) -> bool:
    return name.partition("[")[0] == "inputs"
