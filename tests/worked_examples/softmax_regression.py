"""Softmax regression with cross-entropy: one linear layer, integer labels."""

import numpy as np
from torch import nn

from torch_ref import Reference

FEATURES, CLASSES = 5, 3


def draw(rng, batch):
    return rng.standard_normal((batch, FEATURES)), rng.integers(0, CLASSES, batch)


def make_reference():
    return Reference(nn.Linear(FEATURES, CLASSES), nn.functional.cross_entropy, draw)


def loss_and_grads(X, labels, W, b):
    rows = np.arange(len(X))
    Z = X @ W.T + b  # (batch, classes)
    Z = Z - Z.max(axis=1, keepdims=True)  # the same probabilities, and no overflow
    log_P = Z - np.log(np.exp(Z).sum(axis=1, keepdims=True))  # (batch, classes)
    loss = -log_P[rows, labels].mean()

    dL_dZ = np.exp(log_P)  # (batch, classes): P - 1 at the label, P elsewhere, over the batch
    dL_dZ[rows, labels] -= 1
    dL_dZ /= len(X)
    dL_dW = dL_dZ.T @ X  # (classes, features)
    dL_db = dL_dZ.sum(axis=0)  # (classes,)
    return loss, (dL_dW, dL_db)
