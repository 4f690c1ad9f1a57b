"""A small convolutional network: a 3 × 3 convolution, ReLU, 2 × 2 max-pooling, a linear layer, cross-entropy."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from torch import nn

from torch_ref import Reference

CHANNELS, FILTERS, SIDE, CLASSES = 2, 3, 8, 4
POOLED = (SIDE - 2) // 2  # 8 × 8 becomes 6 × 6 under the filter, and 3 × 3 by pooling


def draw(rng, batch):
    return rng.standard_normal((batch, CHANNELS, SIDE, SIDE)), rng.integers(0, CLASSES, batch)


def make_reference():
    model = nn.Sequential(
        nn.Conv2d(CHANNELS, FILTERS, kernel_size=3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(FILTERS * POOLED * POOLED, CLASSES),
    )
    return Reference(model, nn.functional.cross_entropy, draw)


def loss_and_grads(X, labels, K, bK, W, b):
    rows, batch = np.arange(len(X)), len(X)
    patches = sliding_window_view(X, (3, 3), axis=(2, 3))  # (batch, channels, 6, 6, 3, 3)
    C = np.einsum("bcijkl,fckl->bfij", patches, K) + bK[:, None, None]  # (batch, filters, 6, 6)
    R = np.maximum(C, 0)  # (batch, filters, 6, 6)
    cells = R.reshape(batch, FILTERS, POOLED, 2, POOLED, 2).swapaxes(3, 4)  # (batch, filters, 3, 3, 2, 2)
    cells = cells.reshape(batch, FILTERS, POOLED, POOLED, 4)
    largest = cells.argmax(axis=4)[..., None]  # (batch, filters, 3, 3, 1)
    F = np.take_along_axis(cells, largest, axis=4).reshape(batch, -1)  # (batch, filters · 9)
    Z = F @ W.T + b  # (batch, classes)
    Z = Z - Z.max(axis=1, keepdims=True)
    log_P = Z - np.log(np.exp(Z).sum(axis=1, keepdims=True))  # (batch, classes)
    loss = -log_P[rows, labels].mean()

    dL_dZ = np.exp(log_P)  # (batch, classes)
    dL_dZ[rows, labels] -= 1
    dL_dZ /= batch
    dL_dF = dL_dZ @ W  # (batch, filters · 9)
    dL_dcells = np.zeros_like(cells)  # (batch, filters, 3, 3, 4): to the largest of each cell, and to no other
    np.put_along_axis(dL_dcells, largest, dL_dF.reshape(largest.shape), axis=4)
    dL_dR = dL_dcells.reshape(batch, FILTERS, POOLED, POOLED, 2, 2).swapaxes(3, 4).reshape(R.shape)
    dL_dC = dL_dR * (C > 0)  # (batch, filters, 6, 6)
    dL_dK = np.einsum("bfij,bcijkl->fckl", dL_dC, patches)  # (filters, channels, 3, 3)
    dL_dbK = dL_dC.sum(axis=(0, 2, 3))  # (filters,)
    return loss, (dL_dK, dL_dbK, dL_dZ.T @ F, dL_dZ.sum(axis=0))
