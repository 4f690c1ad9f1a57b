"""Arrays as a candidate's tensors, and back. Imports no torch: who has a tensor has imported it."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from torch_ref.cases.case import Array
from torch_ref.precision import Precision


def tensors_of(arrays: Mapping[str, Array], precision: Precision) -> dict[str, Any]:
    """The arrays as tensors, floats in the format of the case; in the same order of memory, gaps included.

    They are on the same memory where NumPy has the format.
    """
    torch = import_module("torch")
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    dtype = getattr(torch, precision.name)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and tensor.dtype is not dtype:
            tensors[name] = torch.empty_strided(tensor.shape, tensor.stride(), dtype=dtype).copy_(tensor)
    return tensors


def write_back(tensors: Mapping[str, Any], arrays: Mapping[str, Array], precision: Precision) -> None:
    """Write to the arrays what their tensors have become, where they are not on the same memory."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and precision.array != precision.name:
            arrays[name][...] = array_of(tensor, precision)


def array_of(tensor: Any, precision: Precision) -> Array:
    """A tensor that came back as an array. Raises TypeError for one in a format that neither NumPy nor the case has."""
    held = tensor.detach().cpu()
    if str(held.dtype) == f"torch.{precision.name}":
        held = held.to(getattr(import_module("torch"), precision.array))
    array: Array = held.numpy()
    return array
