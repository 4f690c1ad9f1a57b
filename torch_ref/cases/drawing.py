"""What draws cases, of sizes within ranges."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import ClassVar, NamedTuple, TypeAlias

import numpy as np
from hypothesis import strategies as st

from torch_ref.cases.case import NORMAL, Case
from torch_ref.cases.ranges import Range
from torch_ref.precision import FLOAT64, Precision

Sizes: TypeAlias = tuple[int, ...]  # in the order of `Cases.ranges`

WIDE = 8  # one case in so many has its parameters scaled far up or down
UNUSUAL = 4  # one case in so many has another kind of data than normal
# Code that works in blocks breaks at their edges.
FAVORED = sorted({1, *(2**k + step for k in range(1, 13) for step in (-1, 0, 1))})


class Explicit(NamedTuple):
    """A case that is judged whatever is drawn: its sizes and its kind of data."""

    sizes: Sizes
    kind: str = NORMAL


class Aside(NamedTuple):
    """Cases that are counted apart, and what is special about them. They decide too, some only if the results match."""

    title: str
    cases: list[Explicit]
    only_if_results_match: bool = False


class Cases(ABC):
    """Draws cases of sizes within ranges: the batch, and whatever else may vary.

    kinds: what the data of a case may be like.
    """

    kinds: ClassVar[tuple[str, ...]] = (NORMAL,)

    @property
    @abstractmethod
    def ranges(self) -> Mapping[str, Range]:
        """Of each size the smallest and the largest, both included."""

    @property
    def saturates(self) -> bool:
        """Whether there are saturated cases as well as ordinary ones."""
        return False

    @property
    def settings(self) -> Mapping[str, Range]:
        """The ranges by the names of the options that set them."""
        return self.ranges

    @abstractmethod
    def explicit(self) -> list[Explicit]:
        """The sizes and kinds in which mistakes hide or show: judged before any is drawn."""

    @abstractmethod
    def asides(self) -> list[Aside]:
        """Cases beyond the ranges, where their owner left them open, and others that are counted apart."""

    @abstractmethod
    def beyond(self) -> Sizes | None:
        """Sizes far beyond the ranges; None where their owner has set them."""

    def timed(self) -> list[Sizes]:
        """Up to three sizes at which calls are timed: the first explicit, the largest, one beyond or the smallest."""
        lows, highs = zip(*self.ranges.values(), strict=True)
        return list(dict.fromkeys((self.explicit()[0].sizes, highs, self.beyond() or lows)))

    @abstractmethod
    def telling(self) -> list[Sizes]:
        """Three sizes that tell mistakes apart."""

    @abstractmethod
    def draw(
        self,
        *sizes: int,
        seed: int,
        precision: Precision = FLOAT64,
        saturated: bool = False,
        kind: str = NORMAL,
        order: str = "C",
    ) -> Case:
        """The case of these sizes that `seed` stands for: always the same one."""

    def drawn(self, count: int, seed: int, precision: Precision, *, saturated: bool = False) -> Iterator[Case]:
        """So many cases within the ranges, the same ones for the same seed. Half of the sizes are favored ones."""
        rng = np.random.default_rng([seed, saturated])
        unusual = [kind for kind in self.kinds if kind != NORMAL and not saturated]
        bounds = list(self.ranges.values())
        favored = [[size for size in FAVORED if low <= size <= high] for low, high in bounds]
        for _ in range(count):
            sizes = [_size(rng, *ends, some) for ends, some in zip(bounds, favored, strict=True)]
            kind = unusual[rng.integers(len(unusual))] if unusual and rng.integers(UNUSUAL) == 0 else NORMAL
            case_seed = int(rng.integers(2**32))
            yield self.draw(*sizes, seed=case_seed, precision=precision, saturated=saturated, kind=kind)

    def strategy(self, precision: Precision, *, saturated: bool = False) -> st.SearchStrategy[Case]:
        """Cases within the ranges, for Hypothesis: it draws sizes, a seed and a kind, and NumPy the arrays."""
        kinds = self.kinds[:1] if saturated else self.kinds
        return self._strategy(self.ranges, precision, saturated, kinds, "C")

    def like(self, case: Case) -> st.SearchStrategy[Case]:
        """Cases of the sort of this one, from the smallest to its sizes: to find the smallest that fails."""
        ranges = {size: (min(low, case.sizes[size]), case.sizes[size]) for size, (low, _) in self.ranges.items()}
        kinds = tuple(dict.fromkeys((NORMAL, case.kind)))
        strategy = self._strategy(ranges, case.precision, case.saturated, kinds, case.order)
        return strategy.map(lambda drawn: replace(drawn, alone=case.alone))

    def _strategy(
        self,
        ranges: Mapping[str, Range],
        precision: Precision,
        saturated: bool,  # noqa: FBT001  # as the others
        kinds: tuple[str, ...],
        order: str,
    ) -> st.SearchStrategy[Case]:
        return st.builds(
            self.draw,
            *(st.integers(*bounds) for bounds in ranges.values()),
            seed=st.integers(0, 2**32 - 1),
            precision=st.just(precision),
            saturated=st.just(saturated),
            kind=st.sampled_from(kinds),
            order=st.just(order),
        )

    def within(self, sizes: list[Sizes]) -> list[Sizes]:
        """The sizes, each brought within its range."""
        lows, highs = zip(*self.ranges.values(), strict=True)
        return [tuple(np.clip(some, lows, highs).tolist()) for some in sizes]


def _size(rng: np.random.Generator, low: int, high: int, favored: list[int]) -> int:
    """One within the range; every other time a favored one, if there is one."""
    if favored and rng.integers(2):
        return favored[rng.integers(len(favored))]
    return int(rng.integers(low, high + 1))
