"""A layer library in NumPy: linear, ReLU, layer norm, softmax with cross-entropy; each checked by itself, dx included.

Run its tests: pytest layer_library.py
"""

import numpy as np
import pytest
import torch
from torch import nn

from torch_ref import Operator, assert_matches_autograd

FEATURES, WIDTH, CLASSES = 4, 6, 3
EPSILON = 1e-5  # as in nn.LayerNorm


# The library: forward keeps what backward needs; backward returns dx and leaves the other gradients on the object.


class Linear:
    def __init__(self, W, b):
        self.W, self.b = W, b  # (width, features), (width,)

    def forward(self, x):
        self.x = x  # (batch, features)
        return x @ self.W.T + self.b  # (batch, width)

    def backward(self, upstream):
        self.dW = upstream.T @ self.x  # (width, features)
        self.db = upstream.sum(axis=0)  # (width,)
        return upstream @ self.W  # (batch, features)


class ReLU:
    def forward(self, x):
        self.positive = x > 0  # (batch, width)
        return np.where(self.positive, x, 0)  # (batch, width)

    def backward(self, upstream):
        return upstream * self.positive  # (batch, width)


class LayerNorm:
    def __init__(self, gain, shift):
        self.gain, self.shift = gain, shift  # (width,), (width,)

    def forward(self, x):
        deviation = x - x.mean(axis=1, keepdims=True)  # (batch, width)
        self.scale = 1 / np.sqrt((deviation**2).mean(axis=1, keepdims=True) + EPSILON)  # (batch, 1)
        self.normal = deviation * self.scale  # (batch, width)
        return self.normal * self.gain + self.shift  # (batch, width)

    def backward(self, upstream):
        self.dgain = (upstream * self.normal).sum(axis=0)  # (width,)
        self.dshift = upstream.sum(axis=0)  # (width,)
        dnormal = upstream * self.gain  # (batch, width)
        # The mean and the scale depend on every element of a row.
        along_mean = dnormal.mean(axis=1, keepdims=True)  # (batch, 1)
        along_scale = self.normal * (dnormal * self.normal).mean(axis=1, keepdims=True)  # (batch, width)
        return self.scale * (dnormal - along_mean - along_scale)  # (batch, width)


class SoftmaxCrossEntropy:
    def forward(self, x, labels):
        self.rows, self.labels = np.arange(len(x)), labels  # (batch,), (batch,)
        x = x - x.max(axis=1, keepdims=True)  # (batch, classes): the same probabilities, and no overflow
        self.log_P = x - np.log(np.exp(x).sum(axis=1, keepdims=True))  # (batch, classes)
        return -self.log_P[self.rows, labels].mean()  # ()

    def backward(self, upstream):
        dx = np.exp(self.log_P)  # (batch, classes)
        dx[self.rows, self.labels] -= 1
        return upstream * dx / len(dx)  # (batch, classes)


# The glue: each layer as a function of the upstream gradient and its arguments.


def linear(upstream, x, W, b):
    layer = Linear(W, b)
    return layer.forward(x), (layer.backward(upstream), layer.dW, layer.db)


def relu(upstream, x):
    layer = ReLU()
    return layer.forward(x), (layer.backward(upstream),)


def layer_norm(upstream, x, gain, shift):
    layer = LayerNorm(gain, shift)
    return layer.forward(x), (layer.backward(upstream), layer.dgain, layer.dshift)


def softmax_cross_entropy(upstream, x, labels):
    layer = SoftmaxCrossEntropy()
    return layer.forward(x, labels), (layer.backward(upstream),)


# What they are checked against: torch's own, on arguments that these functions draw.


def draw_features(rng, batch):
    return {"x": rng.standard_normal((batch, FEATURES))}


def draw_hidden(rng, batch):
    return {"x": rng.standard_normal((batch, WIDTH))}


def draw_scores(rng, batch):
    return {"x": rng.standard_normal((batch, CLASSES)), "labels": rng.integers(0, CLASSES, batch)}


LAYERS = {
    "linear": (linear, Operator(nn.Linear(FEATURES, WIDTH), draw_features)),
    "relu": (relu, Operator(torch.relu, draw_hidden)),
    "layer_norm": (layer_norm, Operator(nn.LayerNorm(WIDTH, eps=EPSILON), draw_hidden)),
    "softmax_cross_entropy": (softmax_cross_entropy, Operator(nn.functional.cross_entropy, draw_scores)),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("layer", LAYERS)
def test_layer(layer, dtype):
    function, reference = LAYERS[layer]
    assert_matches_autograd(function, reference=reference, dtype=dtype)
