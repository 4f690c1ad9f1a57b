"""A two-layer perceptron with its backward pass written by hand, in NumPy and nothing else."""

from numpy_impl.mlp import Parameters, Stages, forward, loss_and_grads
from numpy_impl.training import train

__all__ = ["Parameters", "Stages", "forward", "loss_and_grads", "train"]
