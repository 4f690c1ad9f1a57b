"""Mistakes in networks with a loss, each planted small: what is named, and where."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.diagnosis.graph.test_search import findings_of
from torch_ref import Reference


def normal(inputs=(3,), targets=(2,)):
    return lambda rng, batch: (rng.standard_normal((batch, *inputs)), rng.standard_normal((batch, *targets)))


class Normed(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Linear(3, 2), nn.BatchNorm1d(2)

    def forward(self, x):
        return torch.tanh(self.norm(self.first(x)))


def of_normed(power):
    """By how many powers of 1/σ the gradient of the norm is multiplied: 1 is right."""

    def candidate(x, t, W, b, gamma, beta):
        Z = x @ W.T + b
        r = 1 / np.sqrt(Z.var(0) + 1e-5)
        N = (Z - Z.mean(0)) * r
        S = np.tanh(N * gamma + beta)
        dG = 2 * (S - t) / t.size * (1 - S**2)
        dN = dG * gamma
        dZ = r**power * (dN - dN.mean(0) - N * (dN * N).mean(0))
        return ((S - t) ** 2).mean(), (dZ.T @ x, dZ.sum(0), (dG * N).sum(0), dG.sum(0))

    return candidate


def of_untrained(x, t, W, b, gamma, beta):
    """As in evaluation mode, with the statistics that a norm begins with."""
    Z = x @ W.T + b
    r = 1 / np.sqrt(1 + 1e-5)
    S = np.tanh(Z * r * gamma + beta)
    dG = 2 * (S - t) / t.size * (1 - S**2)
    dZ = dG * gamma * r
    return ((S - t) ** 2).mean(), (dZ.T @ x, dZ.sum(0), (dG * Z * r).sum(0), dG.sum(0))


def of_hinge(x, t, W, b):
    """Without the mask of the samples that are right by a margin: which often are all of them."""
    margin = 1 - t * (x @ W.T + b)
    g = -t / len(x)
    return margin.clip(0).mean(), (g.T @ x, g.sum(0))


def of_leaky(x, t, W, b, V, c):
    """A slope of 0.01 below 0, in the backward pass of both ReLUs."""
    G1 = x @ W.T + b
    S1 = G1.clip(0)
    G2 = S1 @ V.T + c
    S2 = G2.clip(0)
    dG2 = 2 * (S2 - t) / t.size * np.where(G2 > 0, 1, 0.01)
    dG1 = dG2 @ V * np.where(G1 > 0, 1, 0.01)
    return ((S2 - t) ** 2).mean(), (dG1.T @ x, dG1.sum(0), dG2.T @ S1, dG2.sum(0))


def smoothed(o, t):
    log_P = o.log_softmax(-1)
    target, every = -log_P.gather(1, t[:, None])[:, 0], -log_P.mean(-1)
    return (0.9 * target + 0.1 * every).mean()


def of_smoothed(x, t, W, b):
    """Without the smoothing in the gradient."""
    Z = x @ W.T + b
    log_P = Z - np.log(np.exp(Z).sum(1, keepdims=True))
    one_hot = np.eye(3)[t]
    g = (np.exp(log_P) - one_hot) / len(x)
    return -((0.9 * one_hot + 0.1 / 3) * log_P).sum(1).mean(), (g.T @ x, g.sum(0))


def of_own(x, t, W, b):
    """The probability of the target's class is not less 1, but with the other sign."""
    Z = x @ W.T + b
    P = np.exp(Z) / np.exp(Z).sum(1, keepdims=True)
    rows, g = np.arange(len(x)), P.copy()
    g[rows, t] = 1 - P[rows, t]
    g = g / len(x)
    return -np.log(P[rows, t]).mean(), (g.T @ x, g.sum(0))


def of_squared_hinge(x, t, W, b):
    """The gradient as if there were no ReLU."""
    margin = 1 - t * (x @ W.T + b)
    g = -2 * t * margin / len(x)
    return (margin.clip(0) ** 2).mean(), (g.T @ x, g.sum(0))


def draw_labels(rng, batch):
    return rng.standard_normal((batch, 4)), rng.integers(0, 3, batch)


def of_line(of_all=lambda x: x, of_weight=lambda x: x, of_targets=lambda t: t):
    """The data taken otherwise: everywhere, or in the gradient to the weight alone."""

    def candidate(x, t, W, b):
        x, t = of_all(x), of_targets(t)
        off = x @ W.T + b - t
        g = 2 * off / off.size
        return (off**2).mean(), (g.T @ of_weight(x), g.sum(0))

    return candidate


def centered(x):
    return x - x.mean(0)


NORMED = Reference(Normed(), F.mse_loss, normal(), batch=(3, 9))
HINGE = Reference(nn.Linear(3, 1), lambda o, t: torch.relu(1 - o * t).mean(), normal(targets=(1,)))

RELUS = Reference(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2), nn.ReLU()), F.mse_loss, normal())

LINE = Reference(nn.Linear(3, 2), F.mse_loss, normal(), batch=(2, 9))

KINDS = {
    "centered": (
        LINE,
        of_line(centered),
        "`inputs` is centered (minus its mean along axis 0) before it is used, which",
    ),
    "centered in a gradient": (
        LINE,
        of_line(of_weight=centered),
        "the backward pass takes `inputs` centered (minus its mean along axis 0), the forward pass takes it as",
    ),
    "shifted": (LINE, of_line(of_targets=lambda t: np.roll(t, 1, 0)), "`targets` is shifted by one sample before"),
    "1/σ twice": (NORMED, of_normed(2), "the factor 1/σ is applied twice, in the backward pass of the batch norm"),
    "untrained": (
        NORMED,
        of_untrained,
        "computed ones, as in evaluation mode before training, in the forward pass, in the",
    ),
    "√(1/σ)": (
        NORMED,
        of_normed(0.5),
        "lacks the factor √(1/σ), or is divided by it, in the backward pass of the batch",
    ),
    "slopes": (RELUS, of_leaky, "the derivative of the ReLU is computed as 1 where x > 0, else 0.01"),
    "smoothing": (
        Reference(nn.Linear(4, 3), nn.CrossEntropyLoss(label_smoothing=0.1), draw_labels),
        of_smoothed,
        "the term of weight 0.9 has the weight 1: the label smoothing is missing, in what is differentiated",
    ),
    "a term": (
        Reference(nn.Linear(4, 3), smoothed, draw_labels),
        of_smoothed,
        "`0.1 * every` is missing, and `0.9 * target` has the weight 1, not 0.9, in what is differentiated",
    ),
    "own class": (
        Reference(nn.Linear(4, 3), nn.CrossEntropyLoss(), draw_labels),
        of_own,
        "in each row the element that `targets` points at has the other sign",
    ),
    "squared hinge": (
        Reference(nn.Linear(3, 1), lambda o, t: (torch.relu(1 - o * t) ** 2).mean(), normal(targets=(1,))),
        of_squared_hinge,
        "the ReLU is left out, in what is differentiated, the result being right",
    ),
    "hinge": (HINGE, of_hinge, "the derivative of the ReLU is missing"),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_of_mistake_is_named(name):
    reference, candidate, words = KINDS[name]
    found = findings_of(candidate, reference)
    assert any(words in of.text for of in found), found
    assert not any(of.kind == "chain" for of in found), found


def test_where_the_numbers_do_not_tell_what_is_right_tells_where_a_mistake_is():
    def candidate(x, t, W, b, V, c):
        G1 = x @ W.T + b
        S1 = G1.clip(0)
        G2 = S1 @ V.T + c
        dG2 = 2 * (G2.clip(0) - t) / t.size * (G2 > 0)
        dG1 = dG2 @ V * (G1 > 0)
        return ((G2.clip(0) - t) ** 2).mean(), (np.sin(3 * dG1.T @ x), np.sin(3 * dG1.sum(0)), dG2.T @ S1, dG2.sum(0))

    found = [finding.text for finding in findings_of(candidate, RELUS)]
    assert (
        "if it is one mistake that makes all of these wrong, it is in the backward pass of the linear layer in `2` "
        "(Linear) (in the gradient to the ReLU of `1`), of the ReLU in `1` (ReLU) (in the gradient to the linear layer "
        "of `0`), or between the two, going back."
    ) in found
