"""What the network accepts: one cheap test that says yes to what is right, and a careful one for what it doubts."""

from math import isfinite
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.floating[Any]]

FLOATS = {"f", "d"}  # dtype.char of float32 and float64
SHAPES: dict[str, tuple[str, str]] = {
    "inputs": ("batch", "in"),
    "W1": ("hidden", "in"),
    "B1": ("hidden", "1"),
    "W2": ("out", "hidden"),
    "B2": ("out", "1"),
    "targets": ("batch", "out"),
}


def is_well_formed(inputs: Any, targets: Any, W1: Any, B1: Any, W2: Any, B2: Any) -> bool:
    """Whether all six are plain float arrays of fitting shapes, with targets in [0, 1]. Takes a few microseconds.

    A no is not yet an error (a list becomes an array): `checked` decides. A yes leaves NaN and infinity to `is_finite`.
    """
    return bool(
        type(inputs) is type(targets) is type(W1) is type(B1) is type(W2) is type(B2) is np.ndarray
        and {inputs.dtype.char, targets.dtype.char, W1.dtype.char, B1.dtype.char, W2.dtype.char, B2.dtype.char}
        <= FLOATS
        and inputs.ndim == W2.ndim == 2
        and inputs.size > 0 < W2.size
        and W1.shape == (W2.shape[1], inputs.shape[1])
        and B1.shape == (W2.shape[1], 1)
        and B2.shape == (W2.shape[0], 1)
        and targets.shape == (inputs.shape[0], W2.shape[0])
        and targets.min() >= 0
        and targets.max() <= 1
    )


def is_finite(array: Array) -> bool:
    """Whether the sum of squares is finite: the cheapest proof that every element is. Huge elements get a no too."""
    return isfinite(np.vdot(array, array))


def checked(**arguments: Any) -> list[Array]:
    """The arguments (names as in `SHAPES`, `inputs` first) as plain arrays, in the order given.

    Raises TypeError or ValueError for the first that is wrong: which it is, what it was and what would be right.
    """
    sizes: dict[str, tuple[int, str]] = {"1": (1, "")}  # of each dimension: its size, and the argument that set it
    arrays = []
    for name, argument in arguments.items():
        array = _as_floats(name, argument)
        shape = f"({', '.join(SHAPES[name])})"
        if array.ndim != 2:
            hint = f"; {name}.reshape(-1, 1) has it" if array.ndim == 1 and SHAPES[name][1] == "1" else ""
            raise ValueError(f"{name}: shape {array.shape}, expected {shape}{hint}")
        if array.size == 0:
            raise ValueError(f"{name}: shape {array.shape} is empty, expected {shape} of at least (1, 1)")
        for dimension, size in zip(SHAPES[name], array.shape, strict=True):
            right, source = sizes.setdefault(dimension, (size, name))
            if size != right:
                because = f" with {dimension} = {right}, as in {source}" if source else ""
                raise ValueError(f"{name}: shape {array.shape}, expected {shape}{because}")
        _demand(np.isfinite(array), name, array, "finite values")
        if name == "targets":
            _demand((array >= 0) & (array <= 1), name, array, "values within [0, 1]")
        arrays.append(array)
    return arrays


def _as_floats(name: str, argument: Any) -> Array:
    try:
        array = np.asarray(argument)
    except ValueError as error:  # a ragged list
        raise ValueError(f"{name}: not an array, expected ({', '.join(SHAPES[name])}): {error}") from None
    if array.dtype.char not in FLOATS:
        raise TypeError(f"{name}: dtype {array.dtype}, expected float32 or float64")
    return array


def _demand(right: npt.NDArray[np.bool_], name: str, array: Array, expected: str) -> None:
    if not right.all():
        row, column = np.argwhere(~right)[0]
        raise ValueError(f"{name}[{row}, {column}]: {array[row, column]}, expected {expected}")
