"""Arrays as tensors and back: torch has formats that NumPy has not."""

import torch
from torch import Tensor

from torch_ref.cases.case import Array
from torch_ref.precision import PRECISIONS, Precision


def tensor_of(array: Array, precision: Precision) -> Tensor:
    """The array as a tensor, floats in the format of a case; on the same memory where NumPy has that format."""
    tensor = torch.from_numpy(array)
    return tensor.to(getattr(torch, precision.name)) if tensor.is_floating_point() else tensor


def array_of(tensor: Tensor) -> Array:
    """The tensor as an array of the same numbers, on the same memory where NumPy has its format."""
    precision = PRECISIONS.get(str(tensor.dtype).removeprefix("torch."))
    held = tensor.detach().to(getattr(torch, precision.array)) if precision else tensor.detach()
    array: Array = held.numpy()
    return array
