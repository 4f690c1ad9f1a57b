"""The kinds of data that the two-layer network is tried with: what mistakes depend on, besides the sizes."""

import numpy as np

from torch_ref.cases.case import NORMAL, Array, log_uniform

BINARY = "binary"  # the rows of a truth table again and again, as XOR's
ZEROS = "zeros"  # biases of 0, as networks begin with, and zeros in inputs and weights
EQUAL = "equal"  # all samples, and all hidden units
SMALL_INPUTS = "small inputs"  # all negative, and W1 is larger for it
LARGE_INPUTS = "large inputs"
LARGE_WEIGHTS = "large weights"  # of W2
KINDS = NORMAL, BINARY, ZEROS, EQUAL, SMALL_INPUTS, LARGE_INPUTS, LARGE_WEIGHTS
SMALL = 1e-3, 1e-1  # the size of small inputs
LARGE = 1e2, 1e4  # of large ones: ∂L/∂W1 then exceeds what gradients are clipped at
WEIGHTS = 1e3  # the largest of large weights: likewise for ∂L/∂B1


def of_kind(
    kind: str, rng: np.random.Generator, x: Array, t: Array, W1: Array, B1: Array, W2: Array, B2: Array
) -> tuple[Array, Array]:
    """The inputs and targets of a kind of data. The parameters become, in place, what it asks for, but for large W2.

    x (batch, in), t (batch, out), W1 (hidden, in), B1 (hidden, 1), W2 (out, hidden), B2 (out, 1).
    """
    if kind == BINARY:
        return _truth_table(rng, x, t)
    if kind == ZEROS:
        for array in x, W1, W2:  # but for the first column, so that no G1 is 0, where a ReLU has a kink
            array[:, 1:] *= rng.integers(0, 2, array[:, 1:].shape)
        if x.shape[1] > 1:
            x[:, -1] = 0  # as a pixel at the edge
        B1[:] = B2[:] = 0
    elif kind == EQUAL:
        x[:], W1[:], B1[:], W2[:] = x[0], W1[0], B1[0], W2[:, :1]
    elif kind == SMALL_INPUTS:
        small = log_uniform(rng, *SMALL)
        x = -np.abs(x) * small
        W1 /= small
    elif kind == LARGE_INPUTS:
        x *= log_uniform(rng, *LARGE)
    return x, t


def _truth_table(rng: np.random.Generator, x: Array, t: Array) -> tuple[Array, Array]:
    """Inputs of exactly 0 and 1 that come again, each with its target: (0, 0), (1, 0), (0, 1), (1, 1), (0, 0), ..."""
    numbers = np.arange(len(x)) % 2 ** min(x.shape[1], 3)
    rows = (numbers[:, None] >> np.arange(x.shape[1])) & 1  # (batch, in)
    xor = rows.sum(axis=1, keepdims=True) % 2  # (batch, 1)
    return rows.astype(float), np.broadcast_to(xor, t.shape) if rng.random() < 0.5 else t[numbers % len(t)]


def large(W2: Array, S1: Array, largest: float) -> tuple[Array, Array]:
    """W2 as large as it may be while |G2| <= largest, by a B2 that takes its mean away. S1 is (hidden, batch)."""
    center = S1.mean(axis=1, keepdims=True)  # (hidden, 1)
    spread = np.abs(W2 @ (S1 - center)).max()
    W2 = W2 * min(WEIGHTS / np.abs(W2).max(), 0.99 * largest / spread if spread else np.inf)
    return W2, -W2 @ center
