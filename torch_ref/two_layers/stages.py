"""The chain of `numpy_impl.mlp` stage by stage in torch, to run it with a stage gone wrong, or for another loss.

In torch, so that the rounding noise of what is wrong can be measured like autograd's.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from math import prod
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from torch_ref.cases.case import Case, Numbers
from torch_ref.two_layers.layouts import ours, theirs
from torch_ref.two_layers.options import OURS, Layout

Stage: TypeAlias = Callable[[Any], Tensor]

STAGES: dict[str, Stage] = {
    "G1": lambda s: s.W1 @ s.inputs.T + s.B1,  # (hidden, batch)
    "S1": lambda s: s.f(s.G1),  # (hidden, batch)
    "G2": lambda s: s.W2 @ s.S1 + s.B2,  # (out, batch)
    "S2": lambda s: torch.sigmoid(s.G2),  # (out, batch)
    "losses": lambda s: -s.t * torch.log(s.S2) - (1 - s.t) * torch.log(1 - s.S2),  # (out, batch)
    "loss": lambda s: s.losses.sum() / s.terms,  # ()
    "dL_dS2": lambda s: (s.S2 - s.t) / (s.S2 * (1 - s.S2)) / s.terms,  # (out, batch)
    "dS2_dG2": lambda s: s.S2 * (1 - s.S2),  # (out, batch)
    "dL_dG2": lambda s: s.dL_dS2 * s.dS2_dG2,  # (out, batch)
    "dL_dS1": lambda s: s.W2.T @ s.dL_dG2,  # (hidden, batch)
    "dS1_dG1": lambda s: s.slope(s.S1),  # (hidden, batch)
    "dL_dG1": lambda s: s.dL_dS1 * s.dS1_dG1,  # (hidden, batch)
    "W1": lambda s: s.dL_dG1 @ s.inputs,  # (hidden, in), and so on: the gradients, by the names of the parameters
    "B1": lambda s: s.dL_dG1.sum(1, keepdim=True),  # (hidden, 1)
    "W2": lambda s: s.dL_dG2 @ s.S1.T,  # (out, hidden)
    "B2": lambda s: s.dL_dG2.sum(1, keepdim=True),  # (out, 1)
}
NAMES = "loss", "W1", "B1", "W2", "B2"


class Activation(NamedTuple):
    """Of the hidden layer: f(G1) is S1, slope(S1) is ∂S1/∂G1; how both are written, and torch's module for it."""

    symbol: str
    f: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]
    formula: str
    module: type[nn.Module]


ACTIVATIONS = {
    "sigmoid": Activation("σ", torch.sigmoid, lambda S: S * (1 - S), "S1 (1-S1)", nn.Sigmoid),
    "tanh": Activation("tanh", torch.tanh, lambda S: 1 - S**2, "(1 - S1²)", nn.Tanh),
    "relu": Activation("ReLU", torch.relu, lambda S: (S > 0).to(S.dtype), "(1 where S1 > 0, else 0)", nn.ReLU),
}


class Loss(NamedTuple):
    """How an element of it is written, torch's function, what torch calls that, and the stages that make it."""

    formula: str
    function: Callable[..., Tensor]
    name: str
    stages: dict[str, Stage]


def half_mse_loss(outputs: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
    """½ (S2 - t)², its mean or its sum."""
    return F.mse_loss(outputs, targets, reduction=reduction) / 2


LOSSES = {
    "bce": Loss("(-t log S2 - (1-t) log(1-S2))", F.binary_cross_entropy, "binary_cross_entropy", {}),
    "mse": Loss(
        "(S2 - t)²",
        F.mse_loss,
        "mse_loss",
        {"losses": lambda s: (s.S2 - s.t) ** 2, "dL_dS2": lambda s: 2 * (s.S2 - s.t) / s.terms},
    ),
    "half-mse": Loss(
        "½ (S2 - t)²",
        half_mse_loss,
        "mse_loss / 2",
        {"losses": lambda s: (s.S2 - s.t) ** 2 / 2, "dL_dS2": lambda s: (s.S2 - s.t) / s.terms},
    ),
}
SUMS = {"mean": ("1/(batch·out) Σ", ("batch", "out")), "sum": ("Σ", ()), "batch mean": ("1/batch Σ", ("batch",))}


@dataclass(frozen=True)
class Chain:
    """The stages with this hidden activation, loss (bce, mse, half-mse) and reduction (mean, sum, batch mean).

    Cases come, and results go, in the layout.
    """

    activation: str = "sigmoid"
    loss: str = "bce"
    reduction: str = "mean"
    layout: Layout = OURS

    @property
    def formula(self) -> str:
        """How the loss is written."""
        return f"{SUMS[self.reduction][0]} {LOSSES[self.loss].formula}"

    def relatives(self) -> list["Chain"]:
        """The same network with each loss that a gradient may be of, its own first."""
        all_ = [replace(self, loss=loss, reduction=reduction) for loss, reduction in product(LOSSES, SUMS)]
        return sorted(all_, key=lambda chain: (chain.loss != self.loss, chain.reduction != self.reduction))

    def run(
        self, case: Case, changes: dict[str, Stage], p: float = 0.0, right: dict[str, Tensor] | None = None
    ) -> Numbers:
        """The loss and the gradients by name, with stages changed; a changed stage may use the number s.p.

        right are the chain's own stages of this case: those that no change reaches are taken from there.
        """
        made = self.stages(case, changes, p, right)
        return {name: theirs(name, made[name], self.layout).numpy() for name in NAMES}

    def stages(
        self, case: Case, changes: dict[str, Stage], p: float = 0.0, right: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """What each stage gives."""
        terms = prod(case.sizes[size] for size in SUMS[self.reduction][1])
        s = SimpleNamespace(
            terms=terms, p=p, f=ACTIVATIONS[self.activation].f, slope=ACTIVATIONS[self.activation].slope
        )
        vars(s).update({n: ours(n, torch.from_numpy(array), self.layout) for n, array in case.arguments.items()})
        s.t = s.targets.T  # (out, batch)
        made: dict[str, Tensor] = {}
        changed: set[str] = set()
        for name, stage in (STAGES | LOSSES[self.loss].stages | changes).items():
            if right is None or name in changes or not changed.isdisjoint(_read_by(stage)):
                made[name] = stage(s)
                changed.add(name)
            else:
                made[name] = right[name]
            if name in NAMES:  # by these names a stage reads the parameters
                changed.discard(name)
            else:
                setattr(s, name, made[name])
        return made


@cache
def _read_by(stage: Stage) -> frozenset[str]:
    """The names that a stage of the right chain may read."""
    return frozenset(stage.__code__.co_names)
