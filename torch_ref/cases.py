"""What one case is - a batch, its targets and a set of parameters - and what draws cases."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

Array: TypeAlias = npt.NDArray[Any]
Tensors: TypeAlias = dict[str, Array]  # by name: the loss, and the gradient of each parameter
Range: TypeAlias = tuple[int, int]
Sizes: TypeAlias = tuple[int, ...]  # in the order of `Cases.ranges`

WIDE = 8  # one case in so many has its parameters scaled far up or down


@dataclass(frozen=True, eq=False)
class Case:
    """Everything a candidate is given, and where it came from.

    inputs and targets have the batch in their first dimension; parameters go by name, in the order a candidate takes
    them. All are C-contiguous; the floating-point ones are of one dtype.
    """

    seed: int
    sizes: dict[str, int]
    inputs: Array
    targets: Array
    parameters: dict[str, Array]
    saturated: bool = False

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of every parameter."""
        return next(iter(self.parameters.values())).dtype

    def __str__(self) -> str:
        sizes = " ".join(f"{name}={size}" for name, size in self.sizes.items())
        return f"[seed={self.seed} {sizes} {self.dtype}{' saturated' if self.saturated else ''}]"


class Cases(ABC):
    """Draws cases of sizes within ranges: the batch, and whatever else may vary."""

    saturates: ClassVar[bool]  # whether there are saturated cases as well as ordinary ones

    @property
    @abstractmethod
    def ranges(self) -> Mapping[str, Range]:
        """Of each size the smallest and the largest, both included."""

    @property
    def settings(self) -> Mapping[str, Range]:
        """The ranges by the names of the options that set them."""
        return self.ranges

    @abstractmethod
    def explicit(self) -> list[Sizes]:
        """The sizes that hide most bugs, or show them: judged before any is drawn."""

    @abstractmethod
    def telling(self) -> list[Sizes]:
        """Three sizes that tell mistakes apart."""

    @abstractmethod
    def draw(self, *sizes: int, seed: int, dtype: str = "float64", saturated: bool = False) -> Case:
        """The case of these sizes that `seed` stands for: always the same one."""

    def strategy(self, dtype: str, *, saturated: bool = False) -> st.SearchStrategy[Case]:
        """Cases within the ranges. Hypothesis draws sizes and a seed, and shrinks them; NumPy draws the arrays."""
        options = {"seed": st.integers(0, 2**32 - 1), "dtype": st.just(dtype), "saturated": st.just(saturated)}
        return st.builds(self.draw, *(st.integers(*bounds) for bounds in self.ranges.values()), **options)

    def within(self, sizes: list[Sizes]) -> list[Sizes]:
        """The sizes, each brought within its range."""
        lows, highs = zip(*self.ranges.values(), strict=True)
        return [tuple(np.clip(some, lows, highs).tolist()) for some in sizes]


def label(name: str) -> str:
    """How a tensor is called in print: loss, dL/dW1."""
    return name if name == "loss" else f"dL/d{name}"


def demand_range(name: str, bounds: Range) -> None:
    """Raise ValueError unless this is a smallest and a largest size."""
    if not (isinstance(bounds, tuple) and len(bounds) == 2 and all(isinstance(bound, int) for bound in bounds)):
        raise ValueError(f"{name}: {bounds!r}, expected the smallest and the largest, as in (1, 8)")
    if not 1 <= bounds[0] <= bounds[1]:
        raise ValueError(f"{name}: from {bounds[0]} to {bounds[1]}, expected 1 or more, and no more than the second")


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number between the two, every order of magnitude as likely."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
