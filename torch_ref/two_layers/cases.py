"""The cases of the two-layer network, ordinary and saturated."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from numpy_impl import Parameters
from torch_ref.cases.case import Case, log_uniform
from torch_ref.cases.drawing import WIDE, Cases, Sizes
from torch_ref.cases.ranges import Range
from torch_ref.precision import FLOAT64, Precision
from torch_ref.two_layers.options import Activation, Shapes
from torch_ref.two_layers.stages import ACTIVATIONS

# Of |G1|, in ordinary cases: σ′(G1) as exp(-G1) / (1 + exp(-G1))² is still finite in float32.
HIDDEN = 40.0
# Of |G2|, the output layer's pre-activation. Up to ORDINARY no logarithm is clamped and no S2 rounds to 1 in either
# dtype, so any correct formula must match. Beyond SATURATED torch's own loss leaves the true function.
ORDINARY = 12.0
SATURATED = {"float32": 17.0, "float64": 28.0}
SCALES = 0.1, 40.0  # of the weights of a wide case; in the others they are standard normal
LARGEST = 30.0  # the largest |G2| of a saturated case, in units of SATURATED


@dataclass(frozen=True)
class TwoLayerCases(Cases):
    """Cases of a network with this hidden activation; any positive seed, sizes (batch, in, hidden, out).

    >>> TwoLayerCases().draw(5, 2, 4, 3, seed=0).arguments["W2"].shape
    (3, 4)
    """

    shapes: Shapes = Shapes()  # noqa: RUF009  # immutable
    activation: Activation = "sigmoid"

    saturates: ClassVar[bool] = True

    @property
    def ranges(self) -> Mapping[str, Range]:
        """Of each size the smallest and the largest, both included."""
        return dict(zip(("batch", "in", "hidden", "out"), vars(self.shapes).values(), strict=True))

    @property
    def settings(self) -> Mapping[str, Range]:
        """The ranges by the names that `Shapes` has for them."""
        return vars(self.shapes)

    def explicit(self) -> list[Sizes]:
        """All different and larger than 1, twice; the XOR batch; batch 1; the largest batch."""
        return self.within([(7, 3, 5, 2), (5, 4, 2, 3), (4, 2, 2, 1), (1, 3, 4, 2), (self.shapes.batch[1], 3, 5, 2)])

    def telling(self) -> list[Sizes]:
        """Different batches, hidden > 1, in ≠ hidden."""
        return self.within([(3, 3, 4, 2), (5, 2, 3, 3), (8, 4, 5, 2)])

    def draw(self, *sizes: int, seed: int, precision: Precision = FLOAT64, saturated: bool = False) -> Case:
        """The case of these sizes that `seed` stands for: always the same one.

        Ordinary: |G1| <= 40 and |G2| <= 12 for every sample, by scaling weights down. Saturated: at least one |G2|
        beyond 17 (float32) or 28 (float64), by scaling W2 and B2 up, and the hidden units are driven hard too. Targets
        are 0 or 1 in half of the seeds and anything between in the others.
        """
        batch, inputs, hidden, outputs = sizes
        dtype = precision.name
        rng = np.random.default_rng(seed)
        wide = rng.integers(WIDE) == 0
        first, second = (log_uniform(rng, *SCALES) if wide else 1.0 for _ in range(2))
        if saturated:
            first = max(first, SCALES[1] / 4)
        W1, B1, W2, B2 = Parameters.from_generator(rng, inputs, hidden, outputs)
        x = rng.standard_normal((batch, inputs)).astype(dtype)
        t = rng.random((batch, outputs)) if rng.random() < 0.5 else rng.integers(0, 2, (batch, outputs))
        if not saturated:
            first = min(first, 0.99 * HIDDEN / np.abs(W1 @ x.T + B1).max())
        W1, B1 = (first * W1).astype(dtype), (first * B1).astype(dtype)
        W2, B2 = second * W2, second * B2

        G1 = W1.astype(float) @ x.T.astype(float) + B1.astype(float)  # (hidden, batch)
        S1 = ACTIVATIONS[self.activation].f(torch.from_numpy(G1)).numpy()  # (hidden, batch)
        largest = np.abs(W2 @ S1 + B2).max()
        if saturated:
            limit = SATURATED[dtype]
            wanted = log_uniform(rng, 1.05 * limit, LARGEST * limit)
        else:
            wanted = min(largest, 0.99 * ORDINARY)
        W2, B2 = W2 * wanted / largest, B2 * wanted / largest
        return Case(
            seed=seed,
            sizes=dict(zip(self.ranges, sizes, strict=True)),
            arguments={
                "inputs": x,
                "targets": t.astype(dtype),
                "W1": W1,
                "B1": B1,
                "W2": W2.astype(dtype),
                "B2": B2.astype(dtype),
            },
            differentiated=Parameters._fields,
            precision=precision,
            saturated=saturated,
        )
