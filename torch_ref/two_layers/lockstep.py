"""The training run of `numpy_impl.training` in torch, and the two in lockstep."""

from collections.abc import Iterator

import numpy as np
import torch

from numpy_impl import Parameters, training
from numpy_impl.mlp import Reduction
from numpy_impl.validation import Array
from torch_ref.precision import PRECISIONS
from torch_ref.results import Lockstep
from torch_ref.rounding import MARGIN
from torch_ref.two_layers.reference import TwoLayers, twin


def descend(
    inputs: Array, targets: Array, start: Parameters, learning_rate: float, steps: int, reduction: Reduction = "mean"
) -> Iterator[tuple[float, Parameters]]:
    """As `numpy_impl.training.descend`, by autograd, for arrays of one dtype. The steps are torch.optim.SGD's.

    The parameters yielded are the memory that is trained: the next step changes them.
    """
    parameters = Parameters(*map(np.array, start))
    model = twin(parameters)
    trained = list(model.parameters())
    loss_function = TwoLayers(reduction=reduction).loss_function
    x, t = torch.from_numpy(inputs), torch.from_numpy(targets)
    for _ in range(steps + 1):
        loss = loss_function(model(x), t)
        grads = torch.autograd.grad(loss, trained)
        yield loss.item(), parameters
        with torch.no_grad():  # by hand, as any optimizer would import torch's compiler, a second or more
            for parameter, grad in zip(trained, grads, strict=True):
                parameter.add_(grad, alpha=-learning_rate)


def lockstep(
    inputs: Array, targets: Array, start: Parameters, learning_rate: float, steps: int, reduction: Reduction = "mean"
) -> Lockstep:
    """Train in NumPy and in torch from the same start. Allowed is 8 u max|p| a step, p any parameter or loss seen."""
    runs = (run(inputs, targets, start, learning_rate, steps, reduction) for run in (training.descend, descend))
    losses, parameters, sizes = [], [], []
    for (loss, arrays), (torch_loss, torch_arrays) in zip(*runs, strict=True):
        losses.append(abs(loss - torch_loss))
        parameters += [np.abs(p - q).max() for p, q in zip(arrays, torch_arrays, strict=True)]
        sizes += [torch_loss, *(np.abs(q).max() for q in torch_arrays)]
    allowed = (steps + 1) * MARGIN * PRECISIONS[start.W1.dtype.name].unit_roundoff * np.max(sizes)
    return Lockstep(steps, float(np.max(losses)), float(np.max(parameters)), float(allowed))
