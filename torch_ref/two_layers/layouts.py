"""The layouts that people write two layers in: arrays there and back, and the one that fits a candidate."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from torch import Tensor

from torch_ref.candidate.calling import Candidate
from torch_ref.cases.case import Array
from torch_ref.errors import ContractError, EndedError
from torch_ref.precision import FLOAT64, Precision
from torch_ref.two_layers.options import BIASES, INPUTS, LAYOUTS, OURS, WEIGHTS, Layout

if TYPE_CHECKING:  # it lays out its cases by this module
    from torch_ref.two_layers.reference import TwoLayers

Any2D = TypeVar("Any2D", Array, Tensor)


def is_transposed(name: str, layout: Layout) -> bool:
    """Whether this argument, or its gradient, is the transpose of ours."""
    if name in ("inputs", "targets"):
        return layout.inputs != INPUTS[0]
    return layout.weights != WEIGHTS[0] if name in ("W1", "W2") else layout.biases == BIASES[1]


def theirs(name: str, array: Any2D, layout: Layout) -> Any2D:
    """Of an array in our layout what it is in another; a gradient of a wrong shape in the shape that goes with it."""
    if name == "loss" or array.ndim != 2:
        return array
    if layout.biases == BIASES[2] and name in ("B1", "B2"):
        if array.shape[1] == 1:
            return array.reshape(-1)
        return array if layout.inputs != INPUTS[0] else array.T
    return array.T if is_transposed(name, layout) else array


def ours(name: str, array: Any2D, layout: Layout) -> Any2D:
    """Of an argument in another layout what it is in ours, on the same memory."""
    if layout.biases == BIASES[2] and name in ("B1", "B2"):
        return array.reshape(-1, 1)
    return array.T if is_transposed(name, layout) else array


def laid_out(arguments: Mapping[str, Array], layout: Layout) -> dict[str, Array]:
    """The arguments of a case, C-contiguous."""
    return {name: np.ascontiguousarray(theirs(name, array, layout)) for name, array in arguments.items()}


def fitted(
    candidate: Candidate, reference: "TwoLayers", only: tuple[str, ...], precision: Precision = FLOAT64
) -> "TwoLayers":
    """The reference in the first layout, ours before others, in which every result has the shape of its argument.

    It is tried on one case whose sizes all differ, as far as their ranges allow; values never choose. If none fits, it
    is ours, and reports say so, with the one in which the most results have their shape. A layout that is pinned stays.
    only are the names that have to come; none means all.
    """
    if reference.layout is not None:
        return reference
    nearest, most, misshapen = "", 0, True
    for layout in LAYOUTS:
        laid = replace(reference, layout=str(layout))
        case = replace(laid.cases.draw(*laid.cases.explicit()[0].sizes, seed=0, precision=precision), asked=only)
        try:
            answer = candidate(case)
        except ContractError:
            continue
        except EndedError:  # it is asked no more, and the first case will say so
            return reference
        shapes = {name: case.arguments[name].shape for name in case.differentiated if case.asks(name)}
        if "loss" in answer.arrays:
            shapes["loss"] = ()
        has_shape = {name: answer.arrays[name].shape == shapes[name] for name in shapes if name in answer.arrays}
        right = sum(has_shape.values())
        if right == len(shapes):
            return laid
        if right > most:
            nearest, most = " ".join(layout), right
            misshapen = not all(has_shape[name] for name in has_shape if name != "loss")
    if nearest == " ".join(OURS) and not misshapen:  # a gradient is missing, or the loss is no number: no other layout
        return reference
    return replace(reference, nearest=nearest)
