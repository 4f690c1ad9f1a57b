"""The reference: a torch module and a loss, evaluated by autograd on the very arrays of a case."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from torch_ref.batches import Batches
from torch_ref.candidate import UnusableError, summary
from torch_ref.cases import Array, Case, Cases, Range, Tensors, demand_range, label
from torch_ref.chain import Chain
from torch_ref.modules import lent


@dataclass(frozen=True, eq=False)
class Reference:
    """Any network with its loss, and the data to compare on: what a hand-written backward pass is held against.

    model: an nn.Module in float32 or float64, on the CPU, in training or evaluation mode as you set it. Its parameters
    are redrawn for each case, as its modules' own `reset_parameters` do; afterwards it is as it was, buffers included.

    loss(outputs, targets): of what the model returns, a scalar tensor. A function or a module.

    draw(rng, batch): the inputs and the targets for a batch of that size, two NumPy arrays with the batch first, from a
    np.random.Generator. Floating-point arrays are converted to the dtype of the check, integers are left as they are.

    batch: the smallest and the largest. name: how reports call it; else the model's and the loss's.

    A candidate is then called as candidate(inputs, targets, *parameters) and returns (loss, gradients), both in the
    order and the shapes of model.named_parameters().

    >>> from torch.nn.functional import mse_loss
    >>> def draw(rng, batch):
    ...     return rng.standard_normal((batch, 3)), rng.standard_normal((batch, 2))
    >>> print(Reference(nn.Linear(3, 2), mse_loss, draw))
    Linear, mse_loss
    """

    model: nn.Module
    loss: Callable[[Any, Tensor], Tensor]
    draw: Callable[[np.random.Generator, int], tuple[Array, Array]] | Cases  # Cases: where widths are drawn too
    batch: Range = (1, 16)
    name: str = ""
    chain: Chain | None = None  # the network stage by stage, where that is known: then mistakes can be named

    def __post_init__(self) -> None:
        demand_range("batch", self.batch)

    @cached_property
    def cases(self) -> Cases:
        """What draws its cases."""
        return self.draw if isinstance(self.draw, Cases) else Batches(self.model, self.draw, self.batch)

    @property
    def model_name(self) -> str:
        """The module's class, with its layers' if it is a Sequential."""
        layers = ", ".join(type(layer).__name__ for layer in self.model.children())
        return f"Sequential({layers})" if isinstance(self.model, nn.Sequential) else type(self.model).__name__

    @property
    def loss_name(self) -> str:
        """The function's name or the module's class."""
        return self.chain.loss_name if self.chain else getattr(self.loss, "__name__", type(self.loss).__name__)

    @property
    def options(self) -> dict[str, str]:
        """The activation, loss and reduction, where they are known."""
        return dict(vars(self.chain)) if self.chain else {}

    @property
    def settings(self) -> dict[str, Any]:
        """What a check runs with: the options of the two-layer network, and the ranges of what is drawn."""
        return {**self.options, **self.cases.settings}

    def __str__(self) -> str:
        parts = [self.model_name, self.loss_name, *([self.chain.reduction] if self.chain else [])]
        return self.name or ", ".join(parts)

    def evaluate(self, case: Case) -> Tensors:
        """Forward and backward once: the loss, shape (), under "loss", then ∂loss/∂p by the name of each parameter p.

        Raises UnusableError when the model or the loss raises, or gives no gradient.
        """
        with self.on(case) as evaluate:
            return evaluate()

    @contextmanager
    def on(self, case: Case) -> Iterator[Callable[[], Tensors]]:
        """While entered, the module has the case's parameters, and the function given evaluates it."""
        dtype = torch.float64 if case.dtype == np.float64 else torch.float32
        modules = [part for part in (self.model, self.loss) if isinstance(part, nn.Module)]
        with lent(dtype, *modules), torch.enable_grad():
            for parameter, array in zip(self.model.parameters(), case.parameters.values(), strict=True):
                data = torch.from_numpy(array)
                parameter.data = data.flatten() if parameter.dim() == 1 else data
            yield lambda: self._evaluate(case)

    def _evaluate(self, case: Case) -> Tensors:
        parameters = list(self.model.parameters())
        # Copies, since a model may write to what it is given; NumPy's, since torch's would be perturbed in a replay.
        inputs, targets = torch.from_numpy(case.inputs.copy()), torch.from_numpy(case.targets.copy())
        try:
            loss = self.loss(self.model(inputs), targets)
        except Exception as error:
            hint = "; does it need more samples? Say batch=(2, 16)" if case.sizes["batch"] == 1 else ""
            raise UnusableError(f"reference: raised {summary(error)}{hint}  {case}") from error
        if not isinstance(loss, Tensor) or loss.dim() != 0:
            kind = f"of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
            raise UnusableError(f"reference: the loss is {kind}, expected a scalar tensor; take its mean or its sum")
        if not loss.requires_grad:
            raise UnusableError("reference: the loss does not depend on any parameter, expected it to depend on all")
        tensors = {"loss": loss.detach().numpy()}
        grads = torch.autograd.grad(loss, parameters, allow_unused=True)
        for (name, array), grad in zip(case.parameters.items(), grads, strict=True):
            if grad is None:
                raise UnusableError(f"reference: the loss does not depend on {name}; leave it out of the model")
            tensors[name] = grad.numpy().reshape(array.shape)
        return tensors

    def demand_usable(self, dtype: str) -> None:
        """Raise UnusableError for a reference that can't serve, with what is wrong and what would be right."""
        self._demand_parameters()
        case, again = (self.cases.draw(*self.cases.explicit()[0], seed=0, dtype=dtype) for _ in range(2))
        if case.inputs.tobytes() != again.inputs.tobytes() or case.targets.tobytes() != again.targets.tobytes():
            raise UnusableError("reference: draw gives another batch each time, expected one from the rng it is given")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            first, second = self.evaluate(case), self.evaluate(case)
        for warning in caught:
            if "target size" in str(warning.message):  # torch broadcasts them
                raise UnusableError(f"reference: {str(warning.message).partition('. ')[0]}, expected one size")
        for name, array in first.items():
            if array.tobytes() != second[name].tobytes():
                why = "is dropout active? call model.eval()"
                raise UnusableError(f"reference: {label(name)} is another one each time: {why}")

    def _demand_parameters(self) -> None:
        if not isinstance(self.model, nn.Module):
            raise UnusableError(f"reference: model is a {type(self.model).__name__}, expected an nn.Module")
        if not any(True for _ in self.model.parameters()):
            raise UnusableError("reference: the model has no parameters, expected at least one")
        for name, parameter in self.model.named_parameters():
            if isinstance(parameter, nn.UninitializedParameter):
                raise UnusableError(f"reference: {name} has no shape yet, expected one; call the model once")
            if parameter.dtype not in (torch.float32, torch.float64):
                kind = str(parameter.dtype).removeprefix("torch.")
                raise UnusableError(f"reference: {name} is {kind}, expected float32 or float64; call model.float()")
            if parameter.device.type != "cpu":
                raise UnusableError(f"reference: {name} is on {parameter.device}, expected cpu; call model.cpu()")
            if not parameter.requires_grad:
                raise UnusableError(f"reference: {name} does not require a gradient, expected every parameter to")
