"""The article's network in NumPy: two layers of sigmoids, binary cross-entropy, and its gradient by the chain rule.

The lesson is three functions, one line per stage, in the article's names: `stages` is the forward pass,
`cross_entropy` the loss, `backward` the backward pass. Nothing in them is checked; `forward` and `loss_and_grads`
check what goes in and what comes out. Inside, a batch stands in columns, (features, batch).
"""

from math import isnan
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from numpy_impl.validation import Array, checked, is_finite, is_well_formed

Reduction: TypeAlias = Literal["mean", "sum"]
REDUCTIONS = get_args(Reduction)

# Where a sigmoid saturates, torch's binary_cross_entropy limits two values (ATen, aten/src/ATen/native/Loss.cpp):
LOG_MIN = -100.0  # the forward pass takes no logarithm below this
EPSILON = float(np.float32(1e-12))  # the backward pass divides by no S2(1-S2) below this: a float32 in every dtype


class Parameters(NamedTuple):
    """The weights, or their gradients: W1 (hidden, in), B1 (hidden, 1), W2 (out, hidden), B2 (out, 1)."""

    W1: Array
    B1: Array
    W2: Array
    B2: Array

    @classmethod
    def from_seed(cls, seed: int, inputs: int = 2, hidden: int = 2, outputs: int = 1) -> "Parameters":
        """Standard normal float64 weights as the article draws them: `np.random.seed(seed)`, then `randn` in order.

        >>> Parameters.from_seed(220132).B2
        array([[0.6149977]])
        """
        randn = np.random.RandomState(seed).randn
        return cls(randn(hidden, inputs), randn(hidden, 1), randn(outputs, hidden), randn(outputs, 1))

    @classmethod
    def from_generator(cls, rng: np.random.Generator, inputs: int, hidden: int, outputs: int) -> "Parameters":
        """Standard normal float64 weights from `rng`, at any widths.

        >>> [array.shape for array in Parameters.from_generator(np.random.default_rng(0), 3, 5, 2)]
        [(5, 3), (5, 1), (2, 5), (2, 1)]
        """
        shapes = (hidden, inputs), (hidden, 1), (outputs, hidden), (outputs, 1)
        return cls(*map(rng.standard_normal, shapes))


class Stages(NamedTuple):
    """The forward pass, stage by stage: G1, S1 (hidden, batch) and G2, S2 (out, batch). Predictions are S2.T."""

    G1: Array
    S1: Array
    G2: Array
    S2: Array


def sigmoid(G: Array) -> Array:
    """σ(G) = 1 / (1 + exp(-G)), element by element; its derivative is σ(G) (1 - σ(G))."""
    S: Array = 1 / (1 + np.exp(-G))  # as G
    return S


def stages(inputs: Array, W1: Array, B1: Array, W2: Array, B2: Array) -> Stages:
    """The forward pass. Every stage is analytic, so complex arrays pass too (complex-step derivatives)."""
    G1 = W1 @ inputs.T + B1  # (hidden, batch)
    S1 = sigmoid(G1)  # (hidden, batch)
    G2 = W2 @ S1 + B2  # (out, batch)
    S2 = sigmoid(G2)  # (out, batch)
    return Stages(G1, S1, G2, S2)


def cross_entropy(S2: Array, t: Array, terms: int) -> np.floating[Any]:
    """The loss: the sum of -t log S2 - (1-t) log(1-S2) divided by `terms`, with S2 and the targets t (out, batch)."""
    log_S2 = np.maximum(np.log(S2), LOG_MIN)  # (out, batch)
    log_1_S2 = np.maximum(np.log1p(-S2), LOG_MIN)  # (out, batch), log(1-S2)
    losses = -t * log_S2 + (t - 1) * log_1_S2  # (out, batch), t - 1 is -(1-t)
    loss: np.floating[Any] = losses.sum() / terms
    return loss


def backward(inputs: Array, t: Array, W2: Array, S1: Array, S2: Array, terms: int) -> Parameters:
    """The backward pass: from ∂L/∂S2 back to the four parameters. L is `cross_entropy(S2, t, terms)`.

    ∂L/∂S2 is the article's -t/S2 + (1-t)/(1-S2) over a common denominator: (S2 - t) / (S2(1-S2)).

    On paper S2(1-S2) cancels in the next step, and ∂L/∂G2 is (S2 - t) / terms. Here the two factors stay apart, as they
    do in torch: binary_cross_entropy divides by max(S2(1-S2), EPSILON), then sigmoid multiplies by S2(1-S2). As long as
    S2(1-S2) is at least EPSILON, the product is (S2 - t) / terms, up to rounding. Where S2 saturates it is not: ∂L/∂G2
    shrinks with S2(1-S2), and it is 0 where S2 has rounded to 0 or 1, however wrong the prediction.
    """
    dS2_dG2 = S2 * (1 - S2)  # (out, batch)
    dL_dS2 = (S2 - t) / (terms * np.maximum(dS2_dG2, EPSILON))  # (out, batch), -t/S2 + (1-t)/(1-S2), over terms
    dL_dG2 = dL_dS2 * dS2_dG2  # (out, batch), S2(1-S2) cancels: (S2 - t) / terms
    dG2_dS1 = W2.T  # (hidden, out)
    dL_dS1 = dG2_dS1 @ dL_dG2  # (hidden, batch)
    dS1_dG1 = S1 * (1 - S1)  # (hidden, batch)
    dL_dG1 = dL_dS1 * dS1_dG1  # (hidden, batch)

    dL_dW1 = dL_dG1 @ inputs  # (hidden, in)
    dL_dB1 = dL_dG1.sum(axis=1, keepdims=True)  # (hidden, 1)
    dL_dW2 = dL_dG2 @ S1.T  # (out, hidden)
    dL_dB2 = dL_dG2.sum(axis=1, keepdims=True)  # (out, 1)
    return Parameters(dL_dW1, dL_dB1, dL_dW2, dL_dB2)


def forward(inputs: Array, W1: Array, B1: Array, W2: Array, B2: Array) -> Stages:
    """The forward pass, checked: G1 = W1 inputsᵀ + B1, S1 = σ(G1), G2 = W2 S1 + B2, S2 = σ(G2).

    inputs is (batch, in), the weights are as in `Parameters`; each float32 or float64, promoted as NumPy does.
    Raises TypeError for another dtype, ValueError for a shape that does not fit, NaN or infinity, naming the argument.

    >>> forward(np.zeros((3, 2)), *Parameters.from_seed(220132)).S2.T
    array([[0.20601854],
           [0.20601854],
           [0.20601854]])
    """
    inputs, W1, B1, W2, B2 = checked(inputs=inputs, W1=W1, B1=B1, W2=W2, B2=B2)
    with np.errstate(all="ignore"):
        return stages(inputs, W1, B1, W2, B2)


def loss_and_grads(
    inputs: Array, targets: Array, W1: Array, B1: Array, W2: Array, B2: Array, reduction: Reduction = "mean"
) -> tuple[np.floating[Any], Parameters]:
    """The binary cross-entropy of the network and its gradient with respect to each parameter, in one pass.

    inputs (batch, in), targets (batch, out) within [0, 1], the weights as in `Parameters`; float32 or float64, promoted
    as NumPy does. With t the targets, the loss is the mean (over batch × out) or the sum of
    -t log S2 - (1-t) log(1-S2), and each gradient has the shape of its parameter. No argument is changed.

    Where a sigmoid saturates this is what torch computes: each logarithm is at least LOG_MIN, and ∂L/∂S2 divides by
    max(S2(1-S2), EPSILON).

    Raises TypeError for another dtype; ValueError for a shape that does not fit, an empty batch, NaN, infinity, a
    target outside [0, 1] or an unknown reduction, naming the argument; OverflowError when finite arguments are so large
    that the loss is NaN.

    >>> inputs, targets = np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[0.0], [1.0]])
    >>> loss, (dL_dW1, dL_dB1, dL_dW2, dL_dB2) = loss_and_grads(inputs, targets, *Parameters.from_seed(220132))
    >>> print(f"{loss:.6f}", dL_dW2.shape, dL_dB2)
    1.050528 (1, 2) [[-0.31995664]]
    """
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction: {reduction!r}, expected 'mean' or 'sum'")
    if not is_well_formed(inputs, targets, W1, B1, W2, B2):
        inputs, W1, B1, W2, B2, targets = checked(inputs=inputs, W1=W1, B1=B1, W2=W2, B2=B2, targets=targets)
    t = targets.T  # (out, batch)
    terms = t.size if reduction == "mean" else 1

    with np.errstate(all="ignore"):  # exp(-G) overflows to the right answer, S = 0; log 0 is limited to LOG_MIN
        G1, S1, G2, S2 = stages(inputs, W1, B1, W2, B2)
        finite = is_finite(G1) and is_finite(G2)  # NaN or infinity in inputs or weights always shows in one of them
        del G1, G2  # the rest needs S1 and S2 only: a large batch is held in memory once less
        loss = cross_entropy(S2, t, terms)
        grads = backward(inputs, t, W2, S1, S2, terms)

    if not finite:
        checked(inputs=inputs, W1=W1, B1=B1, W2=W2, B2=B2)
    if isnan(loss):
        raise OverflowError(f"inputs, W1 or W2: so large that their product overflows {loss.dtype}; scale them down")
    return loss, grads
