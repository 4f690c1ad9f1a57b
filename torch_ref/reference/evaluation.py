"""A torch module and a loss, evaluated by autograd on the very arrays of a case."""

import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from torch_ref.cases.case import Array, Case, Numbers
from torch_ref.errors import UnusableError, summary
from torch_ref.precision import PRECISIONS, Precision
from torch_ref.reference.base import BaseReference, Evaluate
from torch_ref.reference.lending import lent
from torch_ref.torch_private import TARGET_SIZE_WARNING


class ModuleReference(BaseReference):
    """An nn.Module and a loss(outputs, targets) of what it returns: the gradient goes to the module's parameters.

    A case has the arguments inputs and targets, and each parameter in the order of the module's own.
    """

    results: ClassVar[tuple[str, ...]] = ("loss",)

    @property
    @abstractmethod
    def network(self) -> nn.Module:
        """The module."""

    @property
    @abstractmethod
    def loss_function(self) -> Callable[[Any, Tensor], Tensor]:
        """A scalar of what the module returns and of the targets; a module itself, perhaps."""

    @abstractmethod
    def as_parameter(self, array: Array, parameter: nn.Parameter) -> Tensor:
        """The parameter's new value, on the memory of the case's array."""

    @contextmanager
    def lent(self) -> Iterator[Evaluate]:
        """See BaseReference."""
        modules = [part for part in (self.network, self.loss_function) if isinstance(part, nn.Module)]
        parameters = list(self.network.parameters())
        with lent(*modules, given=self.network) as renew:

            def evaluate(case: Case) -> Numbers:
                renew(getattr(torch, case.precision.name))
                for parameter, name in zip(parameters, case.differentiated, strict=True):
                    parameter.data = self.as_parameter(case.arguments[name], parameter)
                with torch.enable_grad():
                    return self._differentiated(case, parameters)

            yield evaluate

    def _differentiated(self, case: Case, parameters: list[nn.Parameter]) -> Numbers:
        loss = self._loss(case)
        numbers = {"loss": loss.detach().numpy()}
        grads = torch.autograd.grad(loss, parameters, allow_unused=True)
        for name, grad in zip(case.differentiated, grads, strict=True):
            if grad is None:
                raise UnusableError(f"reference: the loss does not depend on {name}; leave it out of the model")
            if grad.layout is not torch.strided:
                raise UnusableError(f"reference: the gradient of {name} is sparse, expected a dense one; sparse=False")
            numbers[name] = grad.numpy().reshape(case.arguments[name].shape)
        return numbers

    def _loss(self, case: Case) -> Tensor:
        # Copies, since a model may write to what it is given; NumPy's, since torch's would be perturbed in a replay.
        inputs, targets = (torch.from_numpy(case.arguments[name].copy()) for name in ("inputs", "targets"))
        try:
            loss = self.loss_function(self.network(inputs), targets)
        except Exception as error:
            hint = "; does it need more samples? Say batch=(2, 16)" if case.sizes["batch"] == 1 else ""
            raise UnusableError(f"reference: raised {summary(error)}{hint}  {case}") from error
        if not isinstance(loss, Tensor) or loss.dim() != 0:
            kind = f"of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
            raise UnusableError(f"reference: the loss is {kind}, expected a scalar tensor; take its mean or its sum")
        if not loss.requires_grad:
            raise UnusableError("reference: the loss does not depend on any parameter, expected it to depend on all")
        return loss

    def demand_usable(self, precision: Precision) -> None:
        """Raise UnusableError for a reference that can't serve, with what is wrong and what would be right."""
        self._demand_parameters()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            super().demand_usable(precision)
        for warning in caught:
            if TARGET_SIZE_WARNING in str(warning.message):  # torch broadcasts them
                raise UnusableError(f"reference: {str(warning.message).partition('. ')[0]}, expected one size")

    def _demand_parameters(self) -> None:
        if not isinstance(self.network, nn.Module):
            raise UnusableError(f"reference: model is a {type(self.network).__name__}, expected an nn.Module")
        if not any(True for _ in self.network.parameters()):
            raise UnusableError("reference: the model has no parameters, expected at least one")
        for name, parameter in self.network.named_parameters():
            if isinstance(parameter, nn.UninitializedParameter):
                raise UnusableError(f"reference: {name} has no shape yet, expected one; call the model once")
            if (kind := str(parameter.dtype).removeprefix("torch.")) not in PRECISIONS:
                hint = "; call model.float()" if parameter.is_floating_point() else ""
                choices = " or ".join(sorted(PRECISIONS))
                raise UnusableError(f"reference: {name} is {kind}, expected {choices}{hint}")
            if parameter.device.type != "cpu":
                raise UnusableError(f"reference: {name} is on {parameter.device}, expected cpu; call model.cpu()")
            if not parameter.requires_grad:
                raise UnusableError(f"reference: {name} does not require a gradient, expected every parameter to")
            if name in {"inputs", "targets", *self.results}:
                raise UnusableError(f"reference: a parameter is called {name}, as something else is; rename it")
