"""A transformer block by hand, at a size that somebody trains: what a check of it costs."""

import numpy as np
from torch import nn

from torch_ref import Reference

WIDTH, HEADS, HIDDEN, TOKENS, SAMPLES = 256, 4, 1024, 64, 8


def draw(rng, batch):
    return rng.standard_normal((batch, TOKENS, WIDTH)), rng.standard_normal((batch, TOKENS, WIDTH))


def make_reference():
    block = nn.TransformerEncoderLayer(WIDTH, HEADS, HIDDEN, dropout=0, batch_first=True, norm_first=True)
    return Reference(block, nn.functional.mse_loss, draw, batch=(SAMPLES, SAMPLES))


def normalized(X, gain, shift):
    """The layer norm of each row, and a function from its gradient to those of X, gain and shift."""
    off = X - X.mean(axis=1, keepdims=True)
    scale = 1 / np.sqrt((off**2).mean(axis=1, keepdims=True) + 1e-5)
    N = off * scale

    def back(dA):
        dN = dA * gain
        dX = scale * (dN - dN.mean(axis=1, keepdims=True) - N * (dN * N).mean(axis=1, keepdims=True))
        return dX, (dA * N).sum(axis=0), dA.sum(axis=0)

    return N * gain + shift, back


def in_heads(X):
    """(rows, width) as (samples, heads, tokens, width of a head)."""
    return X.reshape(-1, TOKENS, HEADS, WIDTH // HEADS).swapaxes(1, 2)


def in_rows(X):
    return X.swapaxes(1, 2).reshape(-1, WIDTH)


def loss_and_grads(X, T, W_in, b_in, W_out, b_out, W1, b1, W2, b2, gain1, shift1, gain2, shift2):
    X, T = X.reshape(-1, WIDTH), T.reshape(-1, WIDTH)  # (rows, width), a row for each token of each sample
    A, norm1_back = normalized(X, gain1, shift1)
    Q, K, V = map(in_heads, np.split(A @ W_in.T + b_in, 3, axis=1))
    scale = (WIDTH // HEADS) ** -0.5
    E = Q @ K.swapaxes(2, 3) * scale  # (samples, heads, tokens, tokens)
    E = np.exp(E - E.max(axis=3, keepdims=True))
    P = E / E.sum(axis=3, keepdims=True)
    H = in_rows(P @ V)
    Y = X + H @ W_out.T + b_out
    N, norm2_back = normalized(Y, gain2, shift2)
    S = np.maximum(N @ W1.T + b1, 0)  # (rows, hidden)
    D = Y + S @ W2.T + b2 - T
    loss = (D**2).mean()

    dD = D * (2 / D.size)
    dG = dD @ W2 * (S > 0)
    dN, dgain2, dshift2 = norm2_back(dG @ W1)
    dY = dD + dN
    dH = in_heads(dY @ W_out)
    dP = dH @ V.swapaxes(2, 3)
    dE = P * (dP - (P * dP).sum(axis=3, keepdims=True)) * scale
    dA = np.concatenate(list(map(in_rows, (dE @ K, dE.swapaxes(2, 3) @ Q, P.swapaxes(2, 3) @ dH))), axis=1)
    _, dgain1, dshift1 = norm1_back(dA @ W_in)
    return loss, (
        *(dA.T @ A, dA.sum(axis=0), dY.T @ H, dY.sum(axis=0)),
        *(dG.T @ N, dG.sum(axis=0), dD.T @ S, dD.sum(axis=0)),
        *(dgain1, dshift1, dgain2, dshift2),
    )
