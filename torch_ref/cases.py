"""What one case is - a batch, its targets and a set of weights - and the Hypothesis strategy that draws it."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from numpy_impl import Parameters, forward

Array: TypeAlias = npt.NDArray[Any]
Range: TypeAlias = tuple[int, int]
Sizes: TypeAlias = tuple[int, int, int, int]  # batch, in, hidden, out

# Of |G1|, in ordinary cases: σ′(G1) as exp(-G1) / (1 + exp(-G1))² is still finite in float32.
HIDDEN = 40.0
# Of |G2|, the output layer's pre-activation. Up to ORDINARY no logarithm is clamped and no S2 rounds to 1 in either
# dtype, so any correct formula must match. Beyond SATURATED torch's own loss leaves the true function.
ORDINARY = 12.0
SATURATED = {"float32": 17.0, "float64": 28.0}
SCALES = 0.1, 40.0  # of the weights, in one case of
WIDE = 8  # - in the others they are standard normal
LARGEST = 30.0  # the largest |G2| of a saturated case, in units of SATURATED


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


@dataclass(frozen=True)
class Shapes:
    """The smallest and largest batch and widths to draw, both included."""

    batch: Range = (1, 64)
    inputs: Range = (1, 5)
    hidden: Range = (1, 8)
    outputs: Range = (1, 1)

    def __post_init__(self) -> None:
        for name, (low, high) in vars(self).items():
            if not 1 <= low <= high:
                raise ValueError(f"{name}: from {low} to {high}, expected 1 or more, and no more than the second")

    def explicit(self) -> list[Sizes]:
        """The shapes that hide most bugs, or show them, brought within the ranges.

        All different and larger than 1, twice; the XOR batch; batch 1; the largest batch.
        """
        return self._within([(7, 3, 5, 2), (5, 4, 2, 3), (4, 2, 2, 1), (1, 3, 4, 2), (self.batch[1], 3, 5, 2)])

    def telling(self) -> list[Sizes]:
        """Three shapes that tell mistakes apart: different batches, hidden > 1, in ≠ hidden, within the ranges."""
        return self._within([(3, 3, 4, 2), (5, 2, 3, 3), (8, 4, 5, 2)])

    def _within(self, shapes: list[Sizes]) -> list[Sizes]:
        lows, highs = zip(self.batch, self.inputs, self.hidden, self.outputs, strict=True)
        clipped = (np.clip(sizes, lows, highs).tolist() for sizes in shapes)
        return [(batch, inputs, hidden, outputs) for batch, inputs, hidden, outputs in clipped]

    def strategy(self, dtype: str, *, saturated: bool = False) -> st.SearchStrategy["Case"]:
        """Cases within the ranges. Hypothesis draws sizes and a seed, and shrinks them; NumPy draws the arrays."""
        return st.builds(
            draw,
            st.integers(*self.batch),
            st.integers(*self.inputs),
            st.integers(*self.hidden),
            st.integers(*self.outputs),
            seed=st.integers(0, 2**32 - 1),
            dtype=st.just(dtype),
            saturated=st.just(saturated),
        )


def draw(
    batch: int, inputs: int, hidden: int, outputs: int, *, seed: int, dtype: str = "float64", saturated: bool = False
) -> Case:
    """The case of these sizes that `seed` stands for: always the same one.

    Ordinary: |G1| <= 40 and |G2| <= 12 for every sample, by scaling weights down. Saturated: at least one |G2| beyond
    17 (float32) or 28 (float64), by scaling W2 and B2 up, and the hidden units are driven hard too. Targets are 0 or 1
    in half of the seeds and anything between in the others.
    """
    rng = np.random.default_rng(seed)
    wide = rng.integers(WIDE) == 0
    first, second = (_log_uniform(rng, *SCALES) if wide else 1.0 for _ in range(2))
    if saturated:
        first = max(first, SCALES[1] / 4)
    W1, B1, W2, B2 = Parameters.from_generator(rng, inputs, hidden, outputs)
    x = rng.standard_normal((batch, inputs)).astype(dtype)
    t = rng.random((batch, outputs)) if rng.random() < 0.5 else rng.integers(0, 2, (batch, outputs))
    if not saturated:
        first = min(first, 0.99 * HIDDEN / np.abs(W1 @ x.T + B1).max())
    W1, B1 = (first * W1).astype(dtype), (first * B1).astype(dtype)
    W2, B2 = second * W2, second * B2

    largest = np.abs(forward(x.astype(float), W1.astype(float), B1.astype(float), W2, B2).G2).max()
    if saturated:
        limit = SATURATED[dtype]
        wanted = _log_uniform(rng, 1.05 * limit, LARGEST * limit)
    else:
        wanted = min(largest, 0.99 * ORDINARY)
    W2, B2 = W2 * wanted / largest, B2 * wanted / largest
    return Case(
        seed=seed,
        sizes={"batch": batch, "in": inputs, "hidden": hidden, "out": outputs},
        inputs=x,
        targets=t.astype(dtype),
        parameters={"W1": W1, "B1": B1, "W2": W2.astype(dtype), "B2": B2.astype(dtype)},
        saturated=saturated,
    )


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
