"""Full-batch gradient descent on the hand-written gradients."""

from collections.abc import Iterator
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from numpy_impl.mlp import Parameters, Reduction, loss_and_grads
from numpy_impl.validation import Array


def descend(
    inputs: Array, targets: Array, start: Parameters, learning_rate: float, steps: int, reduction: Reduction = "mean"
) -> Iterator[tuple[np.floating[Any], Parameters]]:
    """Yield (loss, parameters) before the first step and after each: steps + 1 pairs. `start` is not changed.

    A step is p - learning_rate · ∂L/∂p for each parameter p. Arrays and errors are those of `loss_and_grads`; besides,
    ValueError for a learning rate that is not positive and finite or a negative number of steps, and
    FloatingPointError, naming the step, when the run diverges: a parameter or the loss is no longer finite.
    """
    if not (isfinite(learning_rate) and learning_rate > 0):
        raise ValueError(f"learning_rate: {learning_rate}, expected a positive finite number")
    if steps < 0:
        raise ValueError(f"steps: {steps}, expected 0 or more")
    parameters = Parameters(*map(np.array, start))
    for step in range(steps + 1):
        try:
            loss, grads = loss_and_grads(inputs, targets, *parameters, reduction=reduction)
        except (ValueError, OverflowError) as error:
            if step == 0:
                raise
            raise FloatingPointError(
                f"diverged after {step} steps at learning_rate {learning_rate}, expected a smaller one: {error}"
            ) from None
        yield loss, parameters
        with np.errstate(over="ignore"):  # an overflow is reported by the next pass, with its step
            stepped = [p - float(learning_rate) * dL_dp for p, dL_dp in zip(parameters, grads, strict=True)]
        parameters = Parameters(*stepped)


def train(
    inputs: Array, targets: Array, start: Parameters, learning_rate: float, steps: int, reduction: Reduction = "mean"
) -> tuple[Parameters, npt.NDArray[np.floating[Any]]]:
    """The parameters after the last step and the losses (steps + 1,), before the first step and after each.

    Arguments and errors as in `descend`.

    >>> from numpy_impl import xor
    >>> trained, losses = train(xor.INPUTS, xor.TARGETS, Parameters.from_seed(220132), 0.1, 2000, reduction="sum")
    >>> print(f"{losses[0]:.6f} -> {losses[-1]:.6f}")
    3.765260 -> 0.189054
    """
    losses = []
    for loss, parameters in descend(inputs, targets, start, learning_rate, steps, reduction):
        losses.append(loss)
        trained = parameters
    return trained, np.array(losses)
