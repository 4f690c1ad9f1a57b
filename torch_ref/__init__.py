"""Holds a hand-written backward pass against PyTorch's autograd."""

from torch_ref.gate import assert_matches_autograd, check
from torch_ref.mlp_cases import Shapes
from torch_ref.reference import Reference

__all__ = ["Reference", "Shapes", "assert_matches_autograd", "check"]
