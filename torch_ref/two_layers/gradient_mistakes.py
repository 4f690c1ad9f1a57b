"""The classic mistakes in one gradient alone: what comes in is right."""

from torch_ref.two_layers.mistake import Mistake

GRADIENT_MISTAKES = (
    Mistake("∂L/∂W1 lacks {f}′ of the hidden layer", "∂L/∂W1 = ∂L/∂G1 X", {"W1": lambda s: s.dL_dS1 @ s.inputs}),
    Mistake(
        "∂L/∂W1 is computed from S1, not from the inputs",
        "∂L/∂W1 = ∂L/∂G1 · inputs",
        {"W1": lambda s: s.dL_dG1 @ s.S1.T},
    ),
    Mistake(
        "∂L/∂W1 has weight decay in it ({p:.3g} W1)",
        "return the gradient of the loss alone",
        {"W1": lambda s: s.dL_dG1 @ s.inputs + s.p * s.W1},
        (),
    ),
    Mistake(
        "∂L/∂B1 lacks {f}′ of the hidden layer",
        "∂L/∂B1 = Σ ∂L/∂G1 over the batch",
        {"B1": lambda s: s.dL_dS1.sum(1, keepdim=True)},
    ),
    Mistake("∂L/∂B1 is not summed over the batch", "sum it over the batch", {"B1": lambda s: s.dL_dG1}),
    Mistake(
        "∂L/∂B1 is summed over the hidden units, not over the batch",
        "∂L/∂G1.sum(axis=1, keepdims=True) for a (hidden, batch) array",
        {"B1": lambda s: s.dL_dG1.sum(0, keepdim=True)},
    ),
    Mistake("∂L/∂B1 is summed over everything", "sum over the batch alone", {"B1": lambda s: s.dL_dG1.sum()}),
    Mistake(
        "∂L/∂B1 is a copy of ∂L/∂B2",
        "∂L/∂B1 = Σ ∂L/∂G1 over the batch",
        {"B1": lambda s: s.dL_dG2.sum(1, keepdim=True)[:1].expand(len(s.W1), 1)},
    ),
    Mistake(
        "∂L/∂B1 is a copy of ∂L/∂B2, not divided by the number of terms",
        "∂L/∂B1 = Σ ∂L/∂G1 over the batch",
        {"B1": lambda s: s.terms * s.dL_dG2.sum(1, keepdim=True)[:1].expand(len(s.W1), 1)},
    ),
    Mistake("∂L/∂W2 lacks σ′ of the output layer", "∂L/∂W2 = ∂L/∂G2 S1ᵀ", {"W2": lambda s: s.dL_dS2 @ s.S1.T}),
    Mistake("∂L/∂W2 is computed from G1, not from S1", "∂L/∂W2 = ∂L/∂G2 S1ᵀ", {"W2": lambda s: s.dL_dG2 @ s.G1.T}),
    Mistake(
        "∂L/∂W2 is computed from the inputs, not from S1", "∂L/∂W2 = ∂L/∂G2 S1ᵀ", {"W2": lambda s: s.dL_dG2 @ s.inputs}
    ),
    Mistake(
        "∂L/∂W2 has weight decay in it ({p:.3g} W2)",
        "return the gradient of the loss alone",
        {"W2": lambda s: s.dL_dG2 @ s.S1.T + s.p * s.W2},
        (),
    ),
    Mistake(
        "∂L/∂B2 lacks σ′ of the output layer",
        "∂L/∂B2 = Σ ∂L/∂G2 over the batch",
        {"B2": lambda s: s.dL_dS2.sum(1, keepdim=True)},
    ),
    Mistake("∂L/∂B2 is not summed over the batch", "sum it over the batch", {"B2": lambda s: s.dL_dG2}),
    Mistake(
        "∂L/∂B2 is summed over the outputs, not over the batch",
        "∂L/∂G2.sum(axis=1, keepdims=True) for an (out, batch) array",
        {"B2": lambda s: s.dL_dG2.sum(0, keepdim=True)},
    ),
    Mistake("∂L/∂B2 is summed over everything", "sum over the batch alone", {"B2": lambda s: s.dL_dG2.sum()}),
)
