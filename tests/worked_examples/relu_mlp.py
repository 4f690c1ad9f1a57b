"""A multi-layer perceptron: three linear layers, a ReLU after the first two, mean squared error."""

from itertools import pairwise

from torch import nn

from torch_ref import Reference

WIDTHS = 4, 6, 5, 2


def draw(rng, batch):
    return rng.standard_normal((batch, WIDTHS[0])), rng.standard_normal((batch, WIDTHS[-1]))


def make_reference():
    first, second, third = (nn.Linear(*widths) for widths in pairwise(WIDTHS))
    return Reference(nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third), nn.functional.mse_loss, draw)


def loss_and_grads(X, T, W1, b1, W2, b2, W3, b3):
    G1 = X @ W1.T + b1  # (batch, 6)
    S1 = G1 * (G1 > 0)  # (batch, 6)
    G2 = S1 @ W2.T + b2  # (batch, 5)
    S2 = G2 * (G2 > 0)  # (batch, 5)
    Y = S2 @ W3.T + b3  # (batch, 2)
    loss = ((Y - T) ** 2).mean()

    dL_dY = 2 * (Y - T) / Y.size  # (batch, 2)
    dL_dG2 = dL_dY @ W3 * (G2 > 0)  # (batch, 5)
    dL_dG1 = dL_dG2 @ W2 * (G1 > 0)  # (batch, 6)
    return loss, (
        *(dL_dG1.T @ X, dL_dG1.sum(axis=0)),  # (6, 4), (6,)
        *(dL_dG2.T @ S1, dL_dG2.sum(axis=0)),  # (5, 6), (5,)
        *(dL_dY.T @ S2, dL_dY.sum(axis=0)),  # (2, 5), (2,)
    )
