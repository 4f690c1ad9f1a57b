"""The classic backprop mistakes: each is the right chain with one stage gone wrong.

A mistake replaces one stage, or one and its own derivative; everything after it is computed from what it gives.
"""

import torch

from torch_ref.two_layers.gradient_mistakes import GRADIENT_MISTAKES
from torch_ref.two_layers.mistake import Mistake, sigma_prime, updated_each_sample
from torch_ref.two_layers.stages import ACTIVATIONS

MISTAKES = (
    # The forward pass
    Mistake("the hidden activation is missing", "S1 = {f}(G1)", {"S1": lambda s: s.G1}),
    Mistake("the bias B1 is missing in the forward pass", "G1 = W1 X + B1", {"G1": lambda s: s.W1 @ s.inputs.T}),
    Mistake(
        "one number of B1 is added for all hidden units",
        "G1 = W1 X + B1, a number for each hidden unit",
        {"G1": lambda s: s.W1 @ s.inputs.T + s.B1[0]},
    ),
    Mistake("the bias B2 is missing in the forward pass", "G2 = W2 S1 + B2", {"G2": lambda s: s.W2 @ s.S1}),
    *(
        Mistake(
            f"the hidden activation is {name}",
            f"S1 = {{f}}(G1), and ∂S1/∂G1 = {{slope}}; if that is meant, say --activation {name}",
            {"S1": lambda s, f=f: f(s.G1), "dS1_dG1": lambda s, slope=slope: slope(s.S1)},  # type: ignore[misc]  # mypy: default of a lambda
        )
        for name, (_, f, slope, *_) in ACTIVATIONS.items()
    ),
    # The loss
    Mistake(
        "the two terms of the loss have opposite signs",
        "the loss is -t log S2 - (1-t) log(1-S2)",
        {"losses": lambda s: -s.t * torch.log(s.S2) + (1 - s.t) * torch.log(1 - s.S2)},
    ),
    Mistake(
        "the loss has no (1-t) log(1-S2) term",
        "the loss is -t log S2 - (1-t) log(1-S2)",
        {"losses": lambda s: -s.t * torch.log(s.S2)},
    ),
    Mistake(
        "the logarithms of the loss are of S2 + {p:g}",
        "leave the epsilon out of the logarithms, or clip S2 where it is 0 or 1 only",
        {"losses": lambda s: -s.t * torch.log(s.S2 + s.p) - (1 - s.t) * torch.log(1 - s.S2 + s.p)},
        tuple(10.0**-k for k in range(3, 16)),
    ),
    Mistake(
        "one logarithm of the loss is of S2 + {p:g}",
        "leave the epsilon out of the logarithm, or clip S2 where it is 0 only",
        {"losses": lambda s: -s.t * torch.log(s.S2 + s.p) - (1 - s.t) * torch.log(1 - s.S2)},
        tuple(10.0**-k for k in range(3, 16)),
    ),
    Mistake(
        "one logarithm of the loss is of 1 - S2 + {p:g}",
        "leave the epsilon out of the logarithm, or clip S2 where it is 1 only",
        {"losses": lambda s: -s.t * torch.log(s.S2) - (1 - s.t) * torch.log(1 - s.S2 + s.p)},
        tuple(10.0**-k for k in range(3, 16)),
    ),
    Mistake(
        "∂L/∂S2 divides by S2 (1-S2) + {p:g}",
        "leave the epsilon out, or use ∂L/∂G2 = S2 - t, which needs none",
        {"dL_dS2": lambda s: (s.S2 - s.t) / (s.S2 * (1 - s.S2) + s.p) / s.terms},
        tuple(10.0**-k for k in range(3, 16)),
    ),
    Mistake(
        "the loss has weight decay in it ({p:.3g} times half the squares of W1 and W2)",
        "return the loss of the data alone, and add the decay where you take the step",
        {"loss": lambda s: s.losses.sum() / s.terms + s.p / 2 * ((s.W1**2).sum() + (s.W2**2).sum())},
        (),
    ),
    Mistake(
        "the loss is the mean of |S2 - t|",
        "take the loss that is meant; |x| has the derivative sign(x)",
        {"losses": lambda s: (s.S2 - s.t).abs(), "dL_dS2": lambda s: (s.S2 - s.t).sign() / s.terms},
    ),
    Mistake(
        "the loss is the norm of S2 - t",
        "take the mean of the squares: a norm is the root of their sum",
        {"loss": lambda s: (s.S2 - s.t).norm(), "dL_dS2": lambda s: (s.S2 - s.t) / (s.S2 - s.t).norm()},
    ),
    # σ′ of the output layer
    Mistake("σ′ is missing in the output layer", "∂L/∂G2 = ∂L/∂S2 · S2 (1-S2)", {"dL_dG2": lambda s: s.dL_dS2}),
    Mistake(
        "σ′ of the output layer is taken of S2, already activated",
        "σ′(G2) is S2 (1-S2): do not apply σ to S2 again",
        {"dS2_dG2": lambda s: sigma_prime(s.S2)},
    ),
    Mistake(
        "σ′ of the output layer is G (1-G) of the pre-activation G2",
        "x (1-x) is σ′ only for an x that is activated: S2 (1-S2)",
        {"dS2_dG2": lambda s: s.G2 * (1 - s.G2)},
    ),
    Mistake(
        "σ′ of the output layer is taken of the error",
        "∂L/∂G2 = ∂L/∂S2 · S2 (1-S2): σ′ belongs to the activation, not to the error",
        {"dL_dG2": lambda s: s.dL_dS2 * s.dL_dS2 * (1 - s.dL_dS2)},
    ),
    # Back through W2
    Mistake(
        "∂L/∂S1 is computed with an updated W2 (W2 - {p:.3g} ∂L/∂W2)",
        "compute every gradient before the first update",
        {"dL_dS1": lambda s: (s.W2 - s.p * s.dL_dG2 @ s.S1.T).T @ s.dL_dG2},
        (),
    ),
    Mistake(
        "W2 is updated after each sample (W2 - {p:.3g} ∂L/∂W2), and the next sample's ∂L/∂S1 computed with it",
        "compute every gradient of the batch before the first update",
        {"dL_dS1": lambda s: updated_each_sample(s.W2, s.S1, s.dL_dG2, s.p)},
        (),
    ),
    Mistake(
        "∂L/∂S2 is propagated to the hidden layer, without σ′ of the output layer",
        "∂L/∂S1 = W2ᵀ ∂L/∂G2",
        {"dL_dS1": lambda s: s.W2.T @ s.dL_dS2},
    ),
    Mistake(
        "W2 is not transposed",
        "∂L/∂S1 = W2ᵀ ∂L/∂G2",
        {"dL_dS1": lambda s: s.W2 @ s.dL_dG2 if len(s.W2) == len(s.W2.T) else s.W2.T @ s.dL_dG2},
    ),
    # σ′ of the hidden layer
    Mistake("{f}′ is missing in the hidden layer", "∂L/∂G1 = ∂L/∂S1 · {slope}", {"dL_dG1": lambda s: s.dL_dS1}),
    Mistake(
        "{f}′ of the hidden layer is applied twice",
        "∂L/∂G1 = ∂L/∂S1 · {slope}, once",
        {"dL_dG1": lambda s: s.dL_dS1 * s.dS1_dG1 * s.dS1_dG1},
    ),
    Mistake(
        "{f}′ of the hidden layer is taken of S1, already activated",
        "{f}′(G1) is {slope}: do not apply {f} to S1 again",
        {"dS1_dG1": lambda s: s.slope(s.f(s.S1))},
    ),
    Mistake(
        "{f}′ of the hidden layer is computed from G1 by the formula for S1",
        "put S1 into it: {slope}",
        {"dS1_dG1": lambda s: s.slope(s.G1)},
    ),
    Mistake(
        "{f}′ of the hidden layer is taken of the error",
        "∂L/∂G1 = ∂L/∂S1 · {slope}: {f}′ belongs to the activation, not to the error",
        {"dL_dG1": lambda s: s.dL_dS1 * s.dL_dS1 * (1 - s.dL_dS1)},
    ),
    Mistake(
        "σ′ of the output layer is used for the hidden layer",
        "∂L/∂G1 = ∂L/∂S1 · {slope}",
        {"dL_dG1": lambda s: s.W2.T @ (s.dL_dG2 * s.dS2_dG2)},
    ),
    *GRADIENT_MISTAKES,
)
