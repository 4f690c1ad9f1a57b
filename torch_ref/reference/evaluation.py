"""A torch module and a loss, evaluated by autograd on the very arrays of a case."""

import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from torch_ref.cases.case import Array, Case, Numbers
from torch_ref.errors import UnusableError, summary
from torch_ref.precision import PRECISIONS, Precision
from torch_ref.reference.base import BaseReference, Evaluate
from torch_ref.reference.lending import dtypes_of, lent
from torch_ref.reference.tensors import array_of, tensor_of
from torch_ref.torch_private import TARGET_SIZE_WARNING


class ModuleReference(BaseReference):
    """An nn.Module and a loss(outputs, targets) of what it returns: the gradient goes to the module's parameters.

    A case has the arguments inputs and targets, one array or several, and each parameter in the module's own order.
    """

    @property
    def results(self) -> tuple[str, ...]:
        """The loss alone."""
        return ("loss",)

    @property
    @abstractmethod
    def network(self) -> nn.Module:
        """The module."""

    @property
    def module(self) -> nn.Module | None:
        """The module."""
        return self.network

    @property
    @abstractmethod
    def loss_function(self) -> Callable[[Any, Any], Tensor]:
        """A scalar of what the module returns and of the targets; a module itself, perhaps."""

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """The names of the parameters among the arguments of a case, in the module's order."""
        return tuple(name for name, _ in self.network.named_parameters())

    def as_data(self, name: str, tensor: Tensor) -> Tensor:  # noqa: ARG002  # two layers have other shapes
        """Inputs or targets as the module and the loss take them."""
        return tensor

    def as_parameter(self, name: str, tensor: Tensor) -> Tensor:  # noqa: ARG002  # likewise
        """An argument in the shape of the parameter of that name, on the same memory."""
        return tensor

    def as_gradient(self, name: str, gradient: Array) -> Array:  # noqa: ARG002  # likewise
        """The gradient of a parameter in the shape of the argument of that name."""
        return gradient

    @contextmanager
    def lent(self) -> Iterator[Evaluate]:
        """See BaseReference."""
        modules = [part for part in (self.network, self.loss_function) if isinstance(part, nn.Module)]
        parameters = dict(zip(self.parameter_names, self.network.parameters(), strict=True))
        with lent(*modules, given=self.network) as renew:

            def evaluate(case: Case) -> Numbers:
                renew(*dtypes_of(case))
                for name, parameter in parameters.items():
                    parameter.data = self.as_parameter(name, tensor_of(case.arguments[name], case.precision))
                # Copies, since a model may write to what it is given; NumPy's, since torch's would be perturbed.
                given = {name: array for name, array in case.arguments.items() if name not in parameters}
                data = {name: tensor_of(array.copy(), case.precision) for name, array in given.items()}
                leaves = [
                    parameters[name] if name in parameters else data[name].requires_grad_()
                    for name in case.differentiated
                ]
                with torch.enable_grad():
                    loss = self._loss(case, data, lambda args, kwargs: self.network(*args, **kwargs))
                    return self._differentiated(case, loss, leaves)

            yield evaluate

    def results_of(self, case: Case, tensors: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """See BaseReference."""
        names = dict(zip(self.parameter_names, (own for own, _ in self.network.named_parameters()), strict=True))
        state = {own: self.as_parameter(name, tensors[name]) for name, own in names.items()}
        network = partial(functional_call, self.network, state)
        return (self._loss(case, {name: t for name, t in tensors.items() if name not in names}, network),)

    def _differentiated(self, case: Case, loss: Tensor, leaves: list[Tensor]) -> Numbers:
        numbers = {"loss": array_of(loss)}
        grads = torch.autograd.grad(loss, leaves, allow_unused=True)
        for name, grad in zip(case.differentiated, grads, strict=True):
            if grad is None:
                raise UnusableError(f"reference: the loss does not depend on {name}; leave it out of the model")
            numbers[name] = self.as_gradient(name, dense(name, grad))
        return numbers

    def _loss(self, case: Case, data: Mapping[str, Tensor], network: Callable[..., Any]) -> Tensor:
        inputs, targets, *_ = case.packed({name: self.as_data(name, tensor) for name, tensor in data.items()}).values()
        try:
            if isinstance(inputs, dict):
                outputs = network((), inputs)
            else:
                outputs = network(inputs if isinstance(inputs, tuple) else (inputs,), {})
            loss = self.loss_function(outputs, targets)
        except Exception as error:
            hint = "; does it need more samples? Say batch=(2, 16)" if case.sizes["batch"] == 1 else ""
            raise UnusableError(f"reference: raised {summary(error)}{hint}  {case}") from error
        if not isinstance(loss, Tensor) or loss.dim() != 0:
            if not isinstance(loss, Tensor):
                kind = f"a {type(loss).__name__}"
                raise UnusableError(f"reference: the loss is {kind}, expected a scalar tensor; leave out .item()")
            shape = tuple(loss.shape)
            raise UnusableError(f"reference: the loss is of shape {shape}, expected a scalar; take its mean or its sum")
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
            demand_usable_parameter(name, parameter)
            if name in {"inputs", "targets", *self.results}:
                raise UnusableError(f"reference: a parameter is called {name}, as something else is; rename it")


def demand_usable_parameter(name: str, parameter: nn.Parameter) -> None:
    """Raise UnusableError for a parameter without a shape, of another dtype or on another device."""
    if isinstance(parameter, nn.UninitializedParameter):
        raise UnusableError(f"reference: {name} has no shape yet, expected one; call the model once")
    if (kind := str(parameter.dtype).removeprefix("torch.")) not in PRECISIONS:
        hint = "; call model.float()" if parameter.is_floating_point() else ""
        choices = " or ".join(sorted(PRECISIONS))
        raise UnusableError(f"reference: {name} is {kind}, expected {choices}{hint}")
    if parameter.device.type != "cpu":
        raise UnusableError(f"reference: {name} is on {parameter.device}, expected cpu; call model.cpu()")


def dense(name: str, gradient: Tensor) -> Array:
    """A gradient as an array. Raises UnusableError for a sparse one."""
    if gradient.layout is not torch.strided:
        raise UnusableError(f"reference: the gradient of {name} is sparse, expected a dense one; say sparse=False")
    return array_of(gradient)
