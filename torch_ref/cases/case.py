"""What one case is: the arguments of a candidate, by name, and which of them are differentiated."""

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from torch_ref.precision import Precision

Array: TypeAlias = npt.NDArray[Any]
Numbers: TypeAlias = dict[str, Array]  # by name: the results, then the gradient of each differentiated argument


@dataclass(frozen=True, eq=False)
class Case:
    """Everything a candidate is given, and where it came from.

    arguments go by name, in the order a candidate takes them. All are C-contiguous; the floating-point ones have the
    dtype of `precision`. A gradient is called `gradient` and the name of its argument, as in dL/dW1.
    """

    seed: int
    sizes: dict[str, int]
    arguments: dict[str, Array]
    differentiated: tuple[str, ...]
    precision: Precision
    saturated: bool = False
    gradient: str = "dL/d"

    @property
    def size(self) -> int:
        """The number of elements of all arguments."""
        return sum(array.size for array in self.arguments.values())

    @property
    def given(self) -> tuple[str, ...]:
        """The names of the arguments that are not differentiated."""
        return tuple(name for name in self.arguments if name not in self.differentiated)

    def label(self, name: str) -> str:
        """How a result or a gradient is called in print: loss, dL/dW1."""
        return f"{self.gradient}{name}" if name in self.differentiated else name

    def with_arguments(self, **arrays: Array) -> "Case":
        """The same case with these arguments in place of its own."""
        return replace(self, arguments=self.arguments | arrays)

    def in_truth(self) -> "Case":
        """The same case, its floating-point arguments widened to the format in which the truth is computed."""
        truth = self.precision.truth or self.precision
        arguments = {
            name: array.astype(truth.name) if array.dtype.kind == "f" else array
            for name, array in self.arguments.items()
        }
        return replace(self, arguments=arguments, precision=truth)

    def __str__(self) -> str:
        sizes = " ".join(f"{name}={size}" for name, size in self.sizes.items())
        return f"[seed={self.seed} {sizes} {self.precision}{' saturated' if self.saturated else ''}]"


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number between the two, every order of magnitude as likely."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
