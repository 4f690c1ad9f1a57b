"""The reference for `numpy_impl`, and its relatives: Sequential(Linear, activation, Linear, Sigmoid) and a loss."""

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from numpy_impl import Parameters
from torch_ref.cases import Array
from torch_ref.chain import Chain
from torch_ref.mlp_cases import Shapes, TwoLayers
from torch_ref.reference import Reference

ACTIVATIONS = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU}


def half_mse_loss(outputs: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
    """½ (S2 - t)², its mean or its sum."""
    return F.mse_loss(outputs, targets, reduction=reduction) / 2


LOSSES: dict[str, Callable[..., Tensor]] = {"bce": F.binary_cross_entropy, "mse": F.mse_loss, "half-mse": half_mse_loss}


def mlp(
    *,
    activation: str = "sigmoid",
    loss: str = "bce",
    reduction: str = "mean",
    shapes: Shapes = Shapes(),  # noqa: B008  # immutable
) -> Reference:
    """The two-layer network with parameters W1, B1, W2, B2 in the shapes of `numpy_impl`, at the widths of each case.

    activation, of the hidden layer: sigmoid, tanh or relu. loss, of the outputs S2 = σ(G2) and the targets t: bce,
    -t log S2 - (1-t) log(1-S2); mse, (S2 - t)²; or half-mse. Its mean or its sum over batch × out. Raises ValueError.
    """
    for option, value, choices in (
        ("activation", activation, ACTIVATIONS),
        ("loss", loss, LOSSES),
        ("reduction", reduction, ("mean", "sum")),
    ):
        if value not in choices:
            raise ValueError(f"{option}: {value!r}, expected {' or '.join(map(repr, choices))}")
    model = twin(Parameters.from_seed(0, 1, 1, 1), activation)  # of any width: a case brings its own
    function = partial(LOSSES[loss], reduction=reduction)
    return Reference(model, function, TwoLayers(shapes, activation), chain=Chain(activation, loss, reduction))


def twin(parameters: Iterable[Array], activation: str = "sigmoid") -> nn.Sequential:
    """The network of `numpy_impl` in torch, on the memory of the arrays: a step in one is a step in the other.

    Raises ValueError for an array that is read-only.

    >>> parameters = Parameters.from_seed(220132)
    >>> model = twin(parameters)
    >>> parameters.B2[0, 0] = 0.25
    >>> model[2].bias.item()
    0.25
    """
    W1, B1, W2, B2 = parameters
    return nn.Sequential(_linear(W1, B1), ACTIVATIONS[activation](), _linear(W2, B2), nn.Sigmoid())


def _linear(W: Array, B: Array) -> nn.Linear:
    if not (W.flags.writeable and B.flags.writeable):
        raise ValueError("parameters: a read-only array, expected writeable ones to share memory with; pass copies")
    width_out, width_in = W.shape
    layer = nn.Linear(width_in, width_out, device="meta")  # without memory, or random numbers, of its own
    layer.weight = nn.Parameter(torch.from_numpy(W))  # (out, in)
    layer.bias = nn.Parameter(torch.from_numpy(B[:, 0]))  # (out,)
    return layer
