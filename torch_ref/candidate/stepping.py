"""A training step as a candidate: its gradients are what it takes from the parameters."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from torch_ref.candidate.naming import named
from torch_ref.cases.case import Array, Case
from torch_ref.errors import ContractError

# p - 2⁶⁰ g is -2⁶⁰ g but for rounding, unless g is below 2⁻⁶⁰: the update is the gradient, to the last digits.
LEARNING_RATE = 2.0**60


def stepped(code: Callable[..., Any], case: Case, arrays: Mapping[str, Array], options: Mapping[str, str]) -> Any:
    """(loss or None, gradients) of f(inputs, targets, *parameters, learning_rate).

    It returns the new parameters, in order or by name, with the loss before them or without; or returns nothing of the
    kind and has changed them in place. Raises ContractError for a mapping without one of them, and when it has done
    neither.
    """
    before = {name: arrays[name].copy() for name in case.differentiated}
    returned = code(*case.packed(arrays).values(), LEARNING_RATE, **options)
    loss, after = None, returned
    if isinstance(returned, tuple) and len(returned) == 2 and isinstance(returned[1], Sequence | Mapping):
        loss, after = returned
    if not isinstance(after, Sequence | Mapping):
        loss, after = returned, [arrays[name] for name in before]
        if all(np.array_equal(before[name], arrays[name]) for name in before):
            raise ContractError("changed no parameter and returned none, expected the new ones, returned or in place")
    values = named((None, after), (), case)
    gradients = [_gradient(before[name], values[name]) if name in values else None for name in before]
    return loss, gradients


def _gradient(before: Array, after: Any) -> Any:
    """What was taken, for a learning rate of 1; what has another shape is left as it is, to be refused."""
    array = np.asarray(after)
    return (before - array) / before.dtype.type(LEARNING_RATE) if array.shape == before.shape else array
