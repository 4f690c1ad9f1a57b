"""Arrays as tensors and back: torch has formats that NumPy has not."""

import torch
from torch import Tensor

from torch_ref.cases.case import Array
from torch_ref.precision import PRECISIONS, Precision

# Of the formats that NumPy has not, those that hold the same numbers.
HELD = {getattr(torch, p.name): getattr(torch, p.array) for p in PRECISIONS.values() if p.array != p.name}


def tensor_of(array: Array, precision: Precision) -> Tensor:
    """The array as a tensor, floats in the format of a case; on the same memory where NumPy has that format."""
    tensor, dtype = torch.from_numpy(array), getattr(torch, precision.name)
    return tensor.to(dtype) if tensor.is_floating_point() and tensor.dtype is not dtype else tensor


def array_of(tensor: Tensor) -> Array:
    """The tensor as an array of the same numbers, on the same memory where NumPy has its format."""
    held = HELD.get(tensor.dtype)
    array: Array = (tensor.detach().to(held) if held else tensor.detach()).numpy()
    return array
