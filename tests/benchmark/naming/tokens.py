"""Embeddings, weights that are tied, cross-entropy with ignored targets and label smoothing."""

from functools import partial

import numpy as np
import torch
from torch import nn

from tests.benchmark.naming.kind import Kind
from torch_ref import Reference

WORDS, WIDTH, TIME, CLASSES = 6, 4, 5, 5
IGNORED = -100


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


class Bag(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(WORDS, WIDTH)
        self.position = nn.Parameter(torch.randn(TIME, WIDTH))
        self.head = nn.Linear(WIDTH, 3)

    def forward(self, tokens):
        return self.head(torch.tanh(self.embedding(tokens) + self.position).mean(1))


def bag(tokens, labels, position, E, W, b, m):
    """In the order of named_parameters: a module's own first."""
    H = np.tanh(E[tokens] + position)
    pooled = H.mean(1)
    log_P = log_softmax(pooled @ W.T + b)
    rows = np.arange(len(tokens))
    loss = -log_P[rows, labels].mean()
    dZ = np.exp(log_P)
    dZ[rows, labels] -= 1
    dZ /= 1 if m == "not divided by the batch" else len(tokens)
    dH = np.repeat((dZ @ W)[:, None], TIME, 1) / (1 if m == "not divided by the time" else TIME)
    dA = dH * (1 if m == "no slope" else 1 - (np.tanh(H) if m == "slope of the activated" else H) ** 2)
    dE = np.zeros_like(E)
    if m == "the last repetition overwrites":
        dE[tokens] = dA
    elif m == "every token counts once a sample":
        for sample, d in zip(tokens, dA, strict=True):
            dE[sample] += d
    else:
        np.add.at(dE, tokens, dH if m == "embedding without slope" else dA)
    if m == "the first word frozen":
        dE[0] = 0
    dposition = dA[0] if m == "position of the first sample" else dA.mean(0) if m == "position averaged" else dA.sum(0)
    return loss, (dposition, dE, dZ.T @ pooled, dZ.sum(0))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(WORDS, WIDTH)
        self.mix = nn.Linear(WIDTH, WIDTH)

    def forward(self, tokens):
        return torch.relu(self.mix(self.embedding(tokens))) @ self.embedding.weight.T


def tied(tokens, labels, E, W, b, m):
    X = E[tokens]
    G = X @ W.T + b
    H = np.maximum(G, 0)
    log_P = log_softmax(H @ E.T)
    rows = np.arange(len(tokens))
    dZ = np.exp(log_P)
    dZ[rows, labels] -= 1
    dZ /= len(tokens)
    dG = dZ @ E * (1 if m == "no ReLU" else (X > 0) if m == "mask of the input" else (G > 0))
    dX = dG @ (W.T if m == "W not transposed" else W)
    dE = np.zeros_like(E)
    if m == "the last repetition overwrites":
        dE[tokens] = dX
    elif m != "output side only":
        np.add.at(dE, tokens, dX)
    if m != "input side only":
        dE += dZ.T @ (G if m == "pre-activation at the output" else H)
    return -log_P[rows, labels].mean(), (dE, dG.T @ X, dG.sum(0))


def entropy(smoothing, X, labels, W, b, m):
    log_P = log_softmax(X @ W.T + b)
    kept = labels != IGNORED
    count = len(labels) if m == "divided by all" else kept.sum()
    places = np.where(kept, labels, 0)
    target = np.full_like(log_P, smoothing / CLASSES)
    rows = np.arange(len(labels))
    if m == "smoothing over the other classes":
        target[:] = smoothing / (CLASSES - 1)
        target[rows, places] = 1 - smoothing
    elif m == "smoothing left out":
        target[:] = 0
        target[rows, places] = 1
    elif m == "another smoothing":
        target[:] = 0.2 / CLASSES
        target[rows, places] += 0.8
    else:
        target[rows, places] += 1 - smoothing
    used = np.ones_like(kept) if m == "ignored targets count" else kept
    loss = -(target * log_P)[used].sum() / count
    if m == "smoothing missing in the gradient":
        target[:] = 0
        target[rows, places] = 1
    dZ = np.exp(log_P) - target
    if m == "softmax alone":
        dZ = np.exp(log_P)
    if m == "target alone":
        dZ = -target
    if m == "ignored rows keep the softmax":
        dZ[~kept] = np.exp(log_P)[~kept]
    elif m not in {"ignored targets count", "ignored rows have a gradient"}:
        dZ[~kept] = 0
    dZ = dZ / (len(labels) if m == "gradient divided by all" else 1 if m == "gradient not divided" else count)
    return loss, (dZ.T @ X, dZ.sum(0))


def draw_ignored(rng, batch):
    labels = rng.integers(0, CLASSES, batch)
    labels[rng.random(batch) < 0.4] = IGNORED
    labels[0] = rng.integers(0, CLASSES)
    return rng.standard_normal((batch, 3)), labels


KINDS = (
    Kind(
        "embedding",
        Reference(
            Bag(), nn.functional.cross_entropy, lambda r, n: (r.integers(0, WORDS, (n, TIME)), r.integers(0, 3, n))
        ),
        bag,
        {
            "not divided by the time": "5 × autograd's",
            "no slope": "the derivative of the tanh is missing, the gradient is passed on",
            "slope of the activated": "the derivative of the tanh is computed as tanh′(y)",
            "the last repetition overwrites": "where an index is repeated, the last one overwrites the others; add them up, as np.add.at does",
            "every token counts once a sample": "where an index is repeated in a sample, the last one overwrites the others",
            "embedding without slope": "the derivative of the tanh is missing",
            "the first word frozen": "the row of index 0 gets no gradient, as with padding_idx=0",
            "position of the first sample": "only the first along axis 0 counts, not the sum over all",
            "position averaged": "1/batch × autograd's",
        },
    ),
    Kind(
        "tied weights",
        Reference(Tied(), nn.functional.cross_entropy, lambda r, n: (r.integers(0, WORDS, n), r.integers(0, WORDS, n))),
        tied,
        {
            "no ReLU": "the derivative of the ReLU is missing, the gradient is passed on",
            "mask of the input": "`self.embedding(tokens)` is used in place of `torch.relu(",
            "W not transposed": "`mix.weight` is transposed, and should not be",
            "the last repetition overwrites": "where an index is repeated, the last one overwrites the others; add them up, as np.add.at does",
            "output side only": "the gradient back through the embedding of `embedding` is cut: zero",
            "input side only": "the gradient back through `embedding.weight`ᵀ is cut: zero",
            "pre-activation at the output": "the ReLU is left out",
        },
    ),
    Kind(
        "cross-entropy, targets ignored",
        Reference(nn.Linear(3, CLASSES), nn.functional.cross_entropy, draw_ignored, batch=(2, 16)),
        partial(entropy, 0.0),
        {
            "divided by all": "all are counted, also where `targets` = -100",
            "ignored targets count": "the mask is not applied",
            "softmax alone": "is missing, in the backward pass of the log-softmax",
            "target alone": "the softmax part is missing",
            "ignored rows keep the softmax": "",
            "ignored rows have a gradient": "the mask is not applied",
            "gradient divided by all": "divided by the batch, not by Σ (`targets` ≠ -100)",
        },
    ),
    Kind(
        "cross-entropy, smoothed",
        Reference(
            nn.Linear(3, CLASSES),
            nn.CrossEntropyLoss(label_smoothing=0.1),
            lambda r, n: (r.standard_normal((n, 3)), r.integers(0, CLASSES, n)),
        ),
        partial(entropy, 0.1),
        {
            "smoothing over the other classes": "0.875 stands in place of 0.9 and 0.025 stands in place of 0.02",
            "smoothing left out": "the term of weight 0.02 is missing, and the term of weight 0.9 has the weight 1: the label smoothing",
            "another smoothing": "0.8 stands in place of 0.9 and 0.04 stands in place of 0.02",
            "smoothing missing in the gradient": "the term of weight 0.02 is missing, and the term of weight 0.9 has the weight 1: the label smoothing",
            "gradient not divided": "batch × autograd's",
        },
    ),
)
