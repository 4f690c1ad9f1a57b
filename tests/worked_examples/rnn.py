"""A recurrent cell with tanh over a few steps, its gradient by backpropagation through time; mean squared error."""

import numpy as np
from torch import nn

from torch_ref import Reference

TIME, FEATURES, STATE = 4, 3, 5


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.RNNCell(FEATURES, STATE)

    def forward(self, X):
        h = X.new_zeros(len(X), STATE)
        for x in X.unbind(1):
            h = self.cell(x, h)
        return h


def draw(rng, batch):
    return rng.standard_normal((batch, TIME, FEATURES)), rng.uniform(-1, 1, (batch, STATE))


def make_reference():
    return Reference(Recurrent(), nn.functional.mse_loss, draw)


def loss_and_grads(X, T, W, U, bW, bU):
    states = [np.zeros((len(X), STATE), X.dtype)]  # h before each step and after the last, (batch, state) each
    for t in range(TIME):
        states.append(np.tanh(X[:, t] @ W.T + bW + states[-1] @ U.T + bU))
    loss = ((states[-1] - T) ** 2).mean()

    dL_dW, dL_dU, dL_db = np.zeros_like(W), np.zeros_like(U), np.zeros_like(bW)
    dL_dh = 2 * (states[-1] - T) / T.size  # (batch, state)
    for t in reversed(range(TIME)):
        dL_dG = dL_dh * (1 - states[t + 1] ** 2)  # (batch, state)
        dL_dW += dL_dG.T @ X[:, t]  # (state, features)
        dL_dU += dL_dG.T @ states[t]  # (state, state)
        dL_db += dL_dG.sum(axis=0)  # (state,)
        dL_dh = dL_dG @ U  # (batch, state)
    return loss, (dL_dW, dL_dU, dL_db, dL_db.copy())
