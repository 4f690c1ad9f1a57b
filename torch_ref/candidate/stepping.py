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

    It returns the new parameters, in order or by name, with the loss before them or without; or it returns the loss, or
    anything else, and has changed them in place. Raises ContractError when it has done neither.
    """
    before = {name: arrays[name].copy() for name in case.differentiated}
    returned = code(*case.packed(arrays).values(), LEARNING_RATE, **options)
    loss, after = None, returned
    if isinstance(returned, tuple) and len(returned) == 2 and isinstance(returned[1], Sequence | Mapping):
        loss, after = returned
    elif isinstance(returned, tuple) and len(returned) == 1 + len(before):
        loss, *after = returned
    try:
        values = named((None, after), (), case)
    except ContractError:
        if all(np.array_equal(before[name], arrays[name]) for name in before):
            if isinstance(after, Sequence | Mapping):
                raise
            why = "changed no parameter and returned none, expected the new ones, returned or in place"
            raise ContractError(why) from None
        scalar = isinstance(returned, float) or getattr(returned, "ndim", None) == 0
        loss, values = returned if scalar else None, {name: arrays[name] for name in before}
    gradients = [_gradient(before[name], values[name]) if name in values else None for name in before]
    return loss, gradients


def _gradient(before: Array, after: Any) -> Any:
    """What was taken, for a learning rate of 1; what has another shape is left as it is, to be refused."""
    array = np.asarray(after)
    return (before - array) / before.dtype.type(LEARNING_RATE) if array.shape == before.shape else array
