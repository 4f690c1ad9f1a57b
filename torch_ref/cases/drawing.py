"""What draws cases, of sizes within ranges."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, TypeAlias

import numpy as np
from hypothesis import strategies as st

from torch_ref.cases.case import Case
from torch_ref.cases.ranges import Range
from torch_ref.precision import FLOAT64, Precision

Sizes: TypeAlias = tuple[int, ...]  # in the order of `Cases.ranges`

WIDE = 8  # one case in so many has its parameters scaled far up or down


class Cases(ABC):
    """Draws cases of sizes within ranges: the batch, and whatever else may vary."""

    saturates: ClassVar[bool] = False  # whether there are saturated cases as well as ordinary ones

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
    def draw(self, *sizes: int, seed: int, precision: Precision = FLOAT64, saturated: bool = False) -> Case:
        """The case of these sizes that `seed` stands for: always the same one."""

    def strategy(self, precision: Precision, *, saturated: bool = False) -> st.SearchStrategy[Case]:
        """Cases within the ranges. Hypothesis draws sizes and a seed, and shrinks them; NumPy draws the arrays."""
        options = {
            "seed": st.integers(0, 2**32 - 1),
            "precision": st.just(precision),
            "saturated": st.just(saturated),
        }
        return st.builds(self.draw, *(st.integers(*bounds) for bounds in self.ranges.values()), **options)

    def within(self, sizes: list[Sizes]) -> list[Sizes]:
        """The sizes, each brought within its range."""
        lows, highs = zip(*self.ranges.values(), strict=True)
        return [tuple(np.clip(some, lows, highs).tolist()) for some in sizes]
