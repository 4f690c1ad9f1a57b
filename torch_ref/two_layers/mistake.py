"""What a mistake is: the right chain with one stage gone wrong; and the wrong stages that several mistakes share."""

from dataclasses import dataclass

import torch
from torch import Tensor

from torch_ref.candidate.stepping import LEARNING_RATE
from torch_ref.two_layers.stages import Activation, Stage

SMALL = 1e-6


@dataclass(frozen=True)
class Mistake:
    """What is wrong, how to put it right, and the stages that are wrong.

    A stage may use `s.p`, a number that only the author of the mistake knows: it is one of `values`, or, where the
    result is linear in it and `values` is empty, solved for. In the texts `{p}` stands for it, `{f}` for the hidden
    activation and `{slope}` for its derivative.
    """

    name: str
    fix: str
    stages: dict[str, Stage]
    values: tuple[float, ...] = (0.0,)

    def texts(self, activation: Activation, p: float, *, step: bool = False) -> tuple[str, str]:
        """The name and the fix, for a network with this hidden activation; in a training step p may be of its rate."""
        words = {"p": _OfRate(p) if step else p, "f": activation.symbol, "slope": activation.formula}
        return self.name.format(**words), self.fix.format(**words)


class _OfRate(float):
    """A number that is shown as a multiple of the learning rate of `stepping`, unless it is far smaller."""

    def __format__(self, spec: str) -> str:
        times = self / LEARNING_RATE
        if abs(times) < SMALL:
            return super().__format__(spec)
        return "the learning rate ×" if abs(times - 1) < SMALL else f"{times:{spec}} × the learning rate ×"


def sigma_prime(x: Tensor) -> Tensor:
    """σ′ as a function of the pre-activation."""
    return torch.sigmoid(x) * (1 - torch.sigmoid(x))


def updated_each_sample(W2: Tensor, S1: Tensor, dL_dG2: Tensor, rate: float) -> Tensor:
    """∂L/∂S1, each sample's with the W2 that the samples before have updated."""
    columns = []
    for i in range(S1.shape[1]):
        columns.append(W2.T @ dL_dG2[:, i])  # (hidden,)
        W2 = W2 - rate * dL_dG2[:, i, None] @ S1[None, :, i]  # (out, hidden)
    return torch.stack(columns, dim=1)  # (hidden, batch)
