"""The cases of any module or operator: data from its owner's function, a module's parameters redrawn."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from torch import nn

from torch_ref.cases.case import NORMAL, Array, Case, Numbers, Pack, log_uniform
from torch_ref.cases.drawing import WIDE, Aside, Cases, Explicit, Sizes
from torch_ref.cases.formats import in_format
from torch_ref.cases.ranges import Range
from torch_ref.errors import UnusableError, summary
from torch_ref.precision import FLOAT64, Precision
from torch_ref.reference.lending import redrawn

SCALES = 0.3, 3.0  # of all parameters of a wide case
REPEATED = "repeated rows"
BATCH = 1, 16  # if nothing is said
BEYOND = 129  # past the edge of a block of 32, 64 or 128


class Data(NamedTuple):
    """What an owner's `draw` gives: arrays by name, and which of them are one argument."""

    arrays: Numbers
    packs: Mapping[str, Pack] = {}


@dataclass(frozen=True)
class Batches(Cases):
    """Cases of the batches within a range; what the data is, a subclass says.

    Kinds of data: normal; or every other sample a repetition of the one before, where every array has the batch as its
    first axis, and as no other: a square matrix of that size is no list of samples, and may have to be invertible.
    """

    module: nn.Module | None
    draw_data: Callable[[np.random.Generator, int], Any]
    batch: Range

    kinds: ClassVar[tuple[str, ...]] = (NORMAL, REPEATED)

    @abstractmethod
    def data_of(self, drawn: Any, precision: Precision) -> Data:
        """What `draw` gave, as arrays. Raises UnusableError for what is of no use."""

    @abstractmethod
    def complete(self, case: Case, rng: np.random.Generator) -> Case:
        """The case with all that is not data or a parameter, and with what is differentiated."""

    @property
    def ranges(self) -> Mapping[str, Range]:
        """Of the batch, the one size that varies."""
        return {"batch": self.batch}

    def explicit(self) -> list[Explicit]:
        """Some batches, one of them with repeated rows, batch 1 and the largest."""
        sizes = self.within([(7,), (5,), (4,), (1,), (self.batch[1],)])
        return list(map(Explicit, sizes, (NORMAL, NORMAL, REPEATED, NORMAL, NORMAL)))

    def asides(self) -> list[Aside]:
        """A batch beyond the range, if that was left as it is."""
        sizes = self.beyond()
        return [Aside("beyond the range", [Explicit(sizes)])] if sizes else []

    def beyond(self) -> Sizes | None:
        """A batch past the edge of any block."""
        return (BEYOND,) if self.batch == BATCH else None

    def telling(self) -> list[Sizes]:
        """Different batches."""
        return self.within([(3,), (5,), (8,)])

    def draw(
        self,
        *sizes: int,
        seed: int,
        precision: Precision = FLOAT64,
        saturated: bool = False,
        kind: str = NORMAL,
        order: str = "C",
    ) -> Case:
        """The case of this batch that `seed` stands for: always the same one. None is saturated.

        Raises UnusableError when `draw` does not give arrays of finite numbers.
        """
        rng = np.random.default_rng(seed)
        scale = log_uniform(rng, *SCALES) if rng.integers(WIDE) == 0 else 1.0
        parameters = redrawn(self.module, rng) if self.module else {}
        try:
            drawn = self.draw_data(rng, sizes[0])
        except Exception as error:
            raise UnusableError(f"reference: draw raised {summary(error)}") from error
        given, packs = self.data_of(drawn, precision)
        if kind == REPEATED and all(
            array.shape[:1] == sizes and sizes[0] not in array.shape[1:] for array in given.values()
        ):
            rows = np.arange(sizes[0]) // 2 * 2
            given = {name: array[rows] for name, array in given.items()}
        case = Case(
            seed=seed,
            sizes=dict(zip(self.ranges, sizes, strict=True)),
            arguments=given | {name: in_format(scale * p, precision) for name, p in parameters.items()},
            differentiated=(),
            precision=precision,
            saturated=saturated,
            kind=kind,
            order=order,
            packs=packs,
        )
        return self.complete(case, rng)


def words_of(name: str, batch: Range) -> tuple[str, ...]:
    """The words of the command line that ask for a reference of this name; nothing of batches left as they are."""
    largest = () if batch is BATCH else ("--max-batch", str(batch[1]))  # that object, not one that equals it
    return ("--reference", name, *largest)


def usable(name: str, value: Any, precision: Precision) -> Array:
    """The array, C-contiguous, in the check's dtype if it is floating-point. Raises UnusableError for anything else."""
    try:
        array = np.asarray(value)
    except TypeError as error:  # a tensor in a format that NumPy has not
        raise UnusableError(f"reference: draw gives {name} that are no array: {error}") from None
    except ValueError as error:  # a ragged list
        raise UnusableError(f"reference: draw gives {name} that are no array, but ragged: {error}") from None
    if array.dtype == object:
        raise UnusableError(f"reference: draw gives {name} as a {type(value).__name__}, expected an array of numbers")
    if array.dtype.kind not in "biu" and array.dtype.char not in "efd":
        raise UnusableError(
            f"reference: draw gives {name} of dtype {array.dtype}, expected float32, float64 or integers"
        )
    if not np.isfinite(array).all():
        raise UnusableError(
            f"reference: draw gives {name} with {array[~np.isfinite(array)][0]}, expected finite values"
        )
    return np.array(in_format(array, precision) if array.dtype.kind == "f" else array, order="C")
