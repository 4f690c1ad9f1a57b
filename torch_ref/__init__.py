"""Holds a hand-written backward pass against PyTorch's autograd."""

from torch_ref.cases import Shapes
from torch_ref.gate import assert_matches_autograd, check

__all__ = ["Shapes", "assert_matches_autograd", "check"]
