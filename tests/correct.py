"""Correct backward passes of the two-layer network, each written differently: none may be rejected."""

import numpy as np
import torch

from numpy_impl import forward, loss_and_grads


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def with_einsum(x, t, W1, B1, W2, B2):
    S1 = sigmoid(np.einsum("hi,bi->bh", W1, x) + B1.T)
    S2 = sigmoid(np.einsum("oh,bh->bo", W2, S1) + B2.T)
    loss = -(t * np.log(S2) + (1 - t) * np.log1p(-S2)).mean()
    dS2 = (S2 - t) / S2 / (1 - S2) / t.size
    dG2 = dS2 * S2 * (1 - S2)
    dG1 = np.einsum("oh,bo->bh", W2, dG2) * S1 * (1 - S1)
    dW1, dW2 = np.einsum("bh,bi->hi", dG1, x), np.einsum("bo,bh->oh", dG2, S1)
    return loss, (dW1, np.einsum("bh->h", dG1)[:, None], dW2, np.einsum("bo->o", dG2)[:, None])


def sample_by_sample(x, t, W1, B1, W2, B2):
    loss, totals = x.dtype.type(0), [np.zeros_like(p) for p in (W1, B1, W2, B2)]
    for row, target in zip(x, t, strict=True):
        S1 = sigmoid(W1 @ row[:, None] + B1)
        S2 = sigmoid(W2 @ S1 + B2)
        y = target[:, None]
        loss -= (y * np.log(S2) + (1 - y) * np.log(1 - S2)).sum()
        dG2 = S2 - y
        dG1 = W2.T @ dG2 * (S1 - S1 * S1)
        totals = [total + grad for total, grad in zip(totals, (dG1 * row, dG1, dG2 * S1.T, dG2), strict=True)]
    return loss / t.size, tuple(total / x.dtype.type(t.size) for total in totals)


def with_exponentials(x, t, W1, B1, W2, B2):
    """σ′ as exp(-G) / (1 + exp(-G))²."""
    e1 = np.exp(-(W1 @ x.T + B1))
    e2 = np.exp(-(W2 @ (1 / (1 + e1)) + B2))
    loss = (np.log(1 + e2) + (1 - t.T) * -np.log(e2)).mean()
    dG2 = (1 / (1 + e2) - t.T) / x.dtype.type(t.size)
    dG1 = W2.T @ dG2 * (e1 / (1 + e1) ** 2)
    return loss, (dG1 @ x, dG1.sum(1, keepdims=True), dG2 @ (1 / (1 + e1)).T, dG2.sum(1, keepdims=True))


def with_the_shortcut(x, t, W1, B1, W2, B2):
    """∂L/∂G2 = S2 - t, the sigmoid and the logarithms never apart: softplus(G2) - t G2."""
    _, S1, G2, S2 = forward(x, W1, B1, W2, B2)
    loss = (np.logaddexp(0, G2) - t.T * G2).mean(dtype=x.dtype)
    dG2 = (S2 - t.T) / x.dtype.type(t.size)
    dG1 = W2.T @ dG2 * S1 * (1 - S1)
    return loss, (dG1 @ x, dG1.sum(1, keepdims=True), dG2 @ S1.T, dG2.sum(1, keepdims=True))


def with_tanh_and_float64_sums_backwards(x, t, W1, B1, W2, B2):
    dtype = x.dtype
    x, t, W1, B1, W2, B2 = (array.astype(float) for array in (x, t, W1, B1, W2, B2))
    x = x[::-1, ::-1]
    S1 = (1 + np.tanh((x @ W1[:, ::-1].T + B1.T) / 2)) / 2
    S2 = (1 + np.tanh((S1 @ W2.T + B2.T) / 2)) / 2
    t = t[::-1]
    loss = -np.where(t == 1, np.log(S2), t * np.log(S2) + (1 - t) * np.log(1 - S2)).mean()
    dG2 = (S2 - t) / t.size
    dG1 = dG2 @ W2 * S1 * (1 - S1)
    grads = (dG1.T @ x)[:, ::-1], dG1.sum(0)[:, None], dG2.T @ S1, dG2.sum(0)[:, None]
    return dtype.type(loss), tuple(grad.astype(dtype) for grad in grads)


def in_torch_by_hand(*arrays):
    x, t, W1, B1, W2, B2 = map(torch.tensor, arrays)
    S1 = torch.sigmoid(torch.addmm(B1, W1, x.T))
    S2 = torch.sigmoid(torch.addmm(B2, W2, S1))
    loss = -torch.xlogy(t.T, S2).add(torch.xlogy(1 - t.T, 1 - S2)).mean()
    dG2 = (S2 - t.T) / t.numel()
    dG1 = (W2.T @ dG2) * S1 * (1 - S1)
    return loss.requires_grad_(), [dG1 @ x, dG1.sum(1, keepdim=True), dG2 @ S1.T, dG2.sum(1, keepdim=True)]


CORRECT = [
    loss_and_grads, with_einsum, sample_by_sample, with_exponentials, with_the_shortcut,
    with_tanh_and_float64_sums_backwards, in_torch_by_hand,
]  # fmt: skip
