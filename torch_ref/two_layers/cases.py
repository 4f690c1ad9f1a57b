"""The cases of the two-layer network: ordinary ones of several kinds of data, and saturated ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar, NamedTuple

import numpy as np
import torch

from numpy_impl import Parameters
from torch_ref.cases.case import NORMAL, Array, Case, log_uniform
from torch_ref.cases.drawing import WIDE, Aside, Cases, Explicit, Sizes
from torch_ref.cases.formats import in_format
from torch_ref.cases.ranges import Range
from torch_ref.precision import FLOAT64, Precision
from torch_ref.two_layers.kinds import (
    BINARY,
    EQUAL,
    KINDS,
    LARGE_INPUTS,
    LARGE_WEIGHTS,
    SMALL_INPUTS,
    ZEROS,
    large,
    of_kind,
)
from torch_ref.two_layers.layouts import laid_out
from torch_ref.two_layers.options import OURS, Activation, Layout, Shapes
from torch_ref.two_layers.stages import ACTIVATIONS


class Limits(NamedTuple):
    """Of the pre-activations in a dtype.

    Up to |G1| = hidden, σ′(G1) as exp(-G1) / (1 + exp(-G1))² is finite. Up to |G2| = ordinary, no logarithm is clamped
    and 1 - S2 has digits left: any correct formula must match. From saturated on, torch's loss leaves the function.
    """

    hidden: float
    ordinary: float
    saturated: float


LIMITS = {
    "float64": Limits(hidden=40.0, ordinary=12.0, saturated=28.0),
    "float32": Limits(hidden=40.0, ordinary=12.0, saturated=17.0),
    "bfloat16": Limits(hidden=40.0, ordinary=4.0, saturated=7.0),
    "float16": Limits(hidden=5.0, ordinary=6.0, saturated=9.0),
}
SCALES = 0.1, 40.0  # of the weights of a wide case; in the others their variance is 1
LARGEST = 30.0  # the largest |G2| of a saturated case, in units of the smallest
DRAWN = 2**14 - 3  # weights of a case at most: a prime, so that no two rows of a matrix get the same ones
ARGUMENTS = "inputs", "targets", *Parameters._fields
BEYOND = 257, 17, 33  # batch, in, hidden: past the edge of any block of 32, 64 or 128


@dataclass(frozen=True)
class TwoLayerCases(Cases):
    """Cases of a network with this hidden activation; any positive seed, sizes (batch, in, hidden, out).

    The kinds of data are those of `kinds.py`.

    >>> TwoLayerCases().draw(5, 2, 4, 3, seed=0).arguments["W2"].shape
    (3, 4)
    """

    shapes: Shapes = Shapes()  # noqa: RUF009  # immutable
    activation: Activation = "sigmoid"
    layout: Layout = OURS
    step: bool = False

    kinds: ClassVar[tuple[str, ...]] = KINDS

    @property
    def ranges(self) -> Mapping[str, Range]:
        """Of each size the smallest and the largest, both included."""
        return dict(zip(("batch", "in", "hidden", "out"), vars(self.shapes).values(), strict=True))

    @property
    def saturates(self) -> bool:
        """All but those for a training step: saturated gradients are too small for one to show."""
        return not self.step

    @property
    def settings(self) -> Mapping[str, Range]:
        """The ranges by the names that `Shapes` has for them."""
        return vars(self.shapes)

    def explicit(self) -> list[Explicit]:
        """All different and larger than 1, twice; XOR's batch, twice over; batch 1; the largest; each kind of data."""
        corner = tuple(high for _, high in self.ranges.values())
        different = self.within([(7, 3, 5, 2), (5, 4, 2, 3), (8, 2, 2, 1), (1, 3, 4, 2), (5, 4, 3, 2)])
        kinds = NORMAL, NORMAL, BINARY, NORMAL, LARGE_INPUTS
        more = [Explicit(different[1], kind) for kind in (LARGE_WEIGHTS, ZEROS, EQUAL, SMALL_INPUTS)]
        return [*map(Explicit, different, kinds), *more, Explicit(corner)]

    def asides(self) -> list[Aside]:
        """A case far beyond the ranges that were left as they are; and two and three outputs, if 1 was."""
        sizes = self.beyond()
        found = [Aside("beyond the ranges", [Explicit(sizes)])] if sizes else []
        if self.shapes.left("outputs"):
            sizes_2_3 = [(*sizes[:3], outputs) for outputs, sizes in zip((2, 3, 2), self.telling(), strict=True)]
            found.append(Aside("more outputs", list(map(Explicit, sizes_2_3)), only_if_results_match=True))
        return found

    def beyond(self) -> Sizes | None:
        """Past the edge of any block where the range was left as it is, and the largest where not; all outputs."""
        left = [self.shapes.left(name) for name in ("batch", "inputs", "hidden")]
        *highs, outputs = (high for _, high in self.ranges.values())
        sizes = [far if own else high for far, own, high in zip(BEYOND, left, highs, strict=True)]
        return (*sizes, outputs) if any(left) else None

    def telling(self) -> list[Sizes]:
        """Different batches, hidden > 1, in ≠ hidden."""
        return self.within([(3, 3, 4, 2), (5, 2, 3, 3), (8, 4, 5, 2)])

    def draw(
        self,
        *sizes: int,
        seed: int,
        precision: Precision = FLOAT64,
        saturated: bool = False,
        kind: str = NORMAL,
        order: str = "C",
    ) -> Case:
        """The case of these sizes that `seed` stands for: always the same one.

        Ordinary: |G1| <= 40 and |G2| <= 12 for every sample, by scaling weights down. Saturated: at least one |G2|
        beyond 17 (float32) or 28 (float64), by scaling W2 and B2 up, and the hidden units are driven hard too. Targets
        are 0 or 1 in half of the seeds and anything between in the others. `LIMITS` has those of other dtypes.
        """
        limits = LIMITS[precision.name]
        batch, inputs, hidden, outputs = sizes
        rng = np.random.default_rng(seed)
        wide = rng.integers(WIDE) == 0
        first, second = (log_uniform(rng, *SCALES) if wide else 1.0 for _ in range(2))
        weights, (W1, B1, W2, B2) = _uniform(rng, (hidden, inputs), (hidden, 1), (outputs, hidden), (outputs, 1))
        of_first, of_second = weights[: W1.size + B1.size], weights[W1.size + B1.size :]  # views: W1, B1; W2, B2
        x = rng.standard_normal((batch, inputs))
        t = rng.random((batch, outputs)) if rng.random() < 0.5 else rng.integers(0, 2, (batch, outputs))
        x, t = of_kind(kind, rng, x, t, W1, B1, W2, B2)
        G1 = W1 @ x.T + B1  # (hidden, batch)
        if saturated:
            first = max(first, SCALES[1] / 4)
        else:
            limit = 4.0 if kind == LARGE_INPUTS else limits.hidden
            limit = log_uniform(rng, 0.02, 1.0) if kind == LARGE_WEIGHTS else limit
            first = min(first, 0.99 * limit / np.abs(G1).max())
        of_first *= first
        S1 = ACTIVATIONS[self.activation].f(torch.from_numpy(first * G1)).numpy()  # (hidden, batch)
        if kind == LARGE_WEIGHTS:
            W2, B2 = large(W2, S1, limits.ordinary)
        else:
            largest = np.abs(W2 @ S1 + B2).max()
            beyond = limits.saturated * log_uniform(rng, 1.05, LARGEST) if saturated else 0.99 * limits.ordinary
            of_second *= beyond if saturated else min(second * largest, beyond)
            of_second /= largest
        arguments = dict(zip(ARGUMENTS, (in_format(of, precision) for of in (x, t, W1, B1, W2, B2)), strict=True))
        return Case(
            seed=seed,
            sizes=dict(zip(self.ranges, sizes, strict=True)),
            arguments=laid_out(arguments, self.layout),
            differentiated=Parameters._fields,
            precision=precision,
            saturated=saturated,
            kind=kind,
            order=order,
            step=self.step,
        )


def _uniform(rng: np.random.Generator, *shapes: tuple[int, int]) -> tuple[Array, list[Array]]:
    """Numbers of mean 0 and variance 1, and views of them in these shapes, one after another.

    Uniform, since normal numbers would take longer than all the rest; and where they are many, the first come again.
    """
    ends = list(accumulate(rows * columns for rows, columns in shapes))
    numbers = rng.random(min(ends[-1], DRAWN))
    numbers -= 0.5
    numbers *= np.sqrt(12)
    if ends[-1] > DRAWN:
        numbers = np.resize(numbers, ends[-1])
    starts = 0, *ends[:-1]
    return numbers, [numbers[i:j].reshape(shape) for i, j, shape in zip(starts, ends, shapes, strict=True)]
