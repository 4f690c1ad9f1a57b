"""The reference: a torch module and a loss, evaluated by autograd on the very arrays of a case."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from torch_ref.cases import Array, Case


@dataclass(frozen=True)
class Reference:
    """The true loss and gradients of a case.

    build makes the module for a set of parameter arrays, on their memory; loss(outputs, targets) gives a scalar. As a
    string: name.
    """

    name: str
    build: Callable[[Iterable[Array]], nn.Module]
    loss: Callable[[Tensor, Tensor], Tensor]

    def __str__(self) -> str:
        return self.name

    def on(self, case: Case) -> Callable[[], dict[str, Array]]:
        """A function that evaluates the case: forward and backward once, on the case's own memory, each time called.

        It returns the loss, shape (), under "loss", then ∂loss/∂p under the name of each parameter p, in its shape.
        """
        model = self.build(case.parameters.values())
        inputs, targets = torch.from_numpy(case.inputs), torch.from_numpy(case.targets)

        def evaluate() -> dict[str, Array]:
            with torch.enable_grad():
                loss = self.loss(model(inputs), targets)
                grads = torch.autograd.grad(loss, list(model.parameters()))
            tensors = {"loss": loss.detach().numpy()}
            for (name, array), grad in zip(case.parameters.items(), grads, strict=True):
                tensors[name] = grad.numpy().reshape(array.shape)
            return tensors

        return evaluate


def twin(parameters: Iterable[Array]) -> nn.Sequential:
    """The network of `numpy_impl` in torch, on the memory of the arrays: a step in one is a step in the other.

    Raises ValueError for an array that is read-only.

    >>> from numpy_impl import Parameters
    >>> parameters = Parameters.from_seed(220132)
    >>> model = twin(parameters)
    >>> parameters.B2[0, 0] = 0.25
    >>> model[2].bias.item()
    0.25
    """
    W1, B1, W2, B2 = parameters
    return nn.Sequential(_linear(W1, B1), nn.Sigmoid(), _linear(W2, B2), nn.Sigmoid())


def _linear(W: Array, B: Array) -> nn.Linear:
    if not (W.flags.writeable and B.flags.writeable):
        raise ValueError("parameters: a read-only array, expected writeable ones to share memory with; pass copies")
    width_out, width_in = W.shape
    layer = nn.Linear(width_in, width_out, device="meta")  # without memory, or random numbers, of its own
    layer.weight = nn.Parameter(torch.from_numpy(W))  # (out, in)
    layer.bias = nn.Parameter(torch.from_numpy(B[:, 0]))  # (out,)
    return layer


def mlp(reduction: str = "mean") -> Reference:
    """The twin with torch's binary_cross_entropy, the reference for `numpy_impl`."""
    name = f"Sequential(Linear, Sigmoid, Linear, Sigmoid), binary_cross_entropy, {reduction}"
    return Reference(name, twin, partial(F.binary_cross_entropy, reduction=reduction))
