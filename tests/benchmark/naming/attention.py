"""Causal and multi-head attention, a softmax by itself."""

import math

import numpy as np
import torch
from torch import nn

from tests.benchmark.naming.kind import Kind
from torch_ref import Operator, Reference

TIME, WIDTH, HEADS = 4, 6, 2


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def softmax_back(dP, P, m):
    if m == "diagonal of the Jacobian only":
        return dP * P * (1 - P)
    if m == "P times dP":
        return P * dP
    if m == "softmax not differentiated":
        return dP
    axis = -2 if m == "sum over the other axis" else -1
    inner = dP if m == "sum of dP alone" else P * dP
    return P * (dP - inner.sum(axis, keepdims=True))


class Causal(nn.Module):
    def __init__(self):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(3))

    def forward(self, X):
        Q, K, V = self.query(X), self.key(X), self.value(X)
        scores = Q @ K.mT / math.sqrt(WIDTH)
        later = torch.ones(TIME, TIME, dtype=torch.bool).triu(1)
        return scores.masked_fill(later, -math.inf).softmax(-1) @ V


def causal(X, T, Wq, Wk, Wv, m):
    Q, K, V = X @ Wq.T, X @ Wk.T, X @ Wv.T
    scale = 1 if m == "scale missing" else 1 / WIDTH if m == "scale 1/d" else 1 / math.sqrt(WIDTH)
    later = np.triu(np.ones((TIME, TIME), bool), 2 if m == "mask shifted" else 1)
    scores = np.where(later & (m != "no mask"), -np.inf, Q @ K.swapaxes(1, 2) * scale)
    P = softmax(scores)
    Y = P @ V
    dY = 2 * (Y - T) / Y.size
    dV = (P if m == "P not transposed" else P.swapaxes(1, 2)) @ dY
    dP = dY @ V.swapaxes(1, 2)
    if m == "probabilities unmasked in the backward pass":
        P = softmax(Q @ K.swapaxes(1, 2) * scale)
    dS = softmax_back(dP, P, m)
    dS = dS * {"scale missing in the backward pass": 1, "scale twice": scale**2}.get(m, scale)
    dQ, dK = dS @ K, (dS if m == "scores not transposed for K" else dS.swapaxes(1, 2)) @ Q
    if m == "query and key exchanged":
        dQ, dK = dK, dQ
    if m == "V cut":
        dV = np.zeros_like(dV)
    return ((Y - T) ** 2).mean(), tuple(np.einsum("bth,btw->hw", d, X) for d in (dQ, dK, dV))


class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        q, k, v = (t.unflatten(-1, (HEADS, -1)).transpose(1, 2) for t in self.qkv(x).chunk(3, -1))
        y = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose(1, 2).flatten(2))


def heads(g, x, W, b, V, c, m):
    size = WIDTH // HEADS
    apart = lambda t: t.reshape(*t.shape[:2], HEADS, size).swapaxes(1, 2)  # noqa: E731
    together = lambda t: t.swapaxes(1, 2).reshape(*x.shape)  # noqa: E731
    q, k, v = map(apart, np.split(x @ W.T + b, 3, -1))
    P = softmax(q @ k.swapaxes(2, 3) / math.sqrt(size))
    y = together(P @ v)
    out = y @ V.T + c
    flat = g.reshape(-1, WIDTH)
    dy = g @ (V.T if m == "output weight not transposed" else V)
    dy = dy.reshape(len(x), HEADS, TIME, size) if m == "heads not moved back" else apart(dy)
    dv = P.swapaxes(2, 3) @ dy
    dS = softmax_back(dy @ v.swapaxes(2, 3), P, m)
    dS /= math.sqrt(WIDTH) if m == "scale of the whole width" else math.sqrt(size)
    dq, dk = dS @ k, dS.swapaxes(2, 3) @ q
    if m == "one head only":
        dq[:, 1:] = 0
    parts = [together(d) for d in (dq, dk, dv)]
    if m == "query and value exchanged":
        parts.reverse()
    if m == "key cut":
        parts[1] = np.zeros_like(parts[1])
    d = np.concatenate(parts, -1)
    dW = np.einsum("bth,btw->hw", d, x)
    db = d.sum((0, 1))
    if m == "bias of the last step only":
        db = d[:, -1].sum(0)
    dx = d @ W
    if m == "no gradient through the values":
        d[..., 2 * WIDTH :] = 0
        dx = d @ W
    return out, (dx, dW, db, flat.T @ y.reshape(-1, WIDTH), flat.sum(0))


def softmax_alone(g, x, m):
    P = softmax(x)
    return P, (softmax_back(g, P, m),)


KINDS = (
    Kind(
        "causal attention",
        Reference(
            Causal(),
            nn.functional.mse_loss,
            lambda r, n: (r.standard_normal((n, TIME, WIDTH)), r.standard_normal((n, TIME, WIDTH))),
        ),
        causal,
        {
            "scale missing": "the division by √6 is missing",
            "scale 1/d": "6 stands in place of √6",
            "no mask": "the mask is not looked at, as if it never held",
            "mask shifted": "2 stands in place of 1",
            "P not transposed": "the softmax is not transposed",
            "probabilities unmasked in the backward pass": "",
            "diagonal of the Jacobian only": "only the diagonal of the Jacobian is used",
            "P times dP": "the term y · Σ (y · g) is missing",
            "softmax not differentiated": "the gradient to the softmax back through the matrix product is passed on as it is: the backward pass of the softmax and of the mask is skipped",
            "sum over the other axis": "the sum is taken over axis 1, not axis 2",
            "scale missing in the backward pass": "√6 × autograd's",
            "scale twice": "1/√6 × autograd's",
            "scores not transposed for K": "the gradient that comes in is not transposed",
            "query and key exchanged": "return the gradients in the order of the parameters",
            "V cut": "0 × autograd's",
        },
    ),
    Kind(
        "multi-head attention",
        Operator(Heads(), lambda r, n: {"x": r.standard_normal((n, TIME, WIDTH))}),
        heads,
        {
            "output weight not transposed": "`out.weight` is transposed, and should not be",
            "heads not moved back": "g is not transposed",
            "scale of the whole width": "the gradient back through the softmax is 1/√2 times what it should be",
            "one head only": "of the gradient back through the transpose, the first along axis 2 is all there is, the rest is zero",
            "query and value exchanged": "of the gradient back through the split, blocks 1 (`q`) and 3 (`v`) of 3 along axis 2 are exchanged",
            "key cut": "the gradient back through the transpose is cut: zero",
            "bias of the last step only": "only the last of each sample counts, not the sum over all",
            "no gradient through the values": "of `qkv.weight`, block 3 of 3 (`v`) along axis 0 is zero",
            "P times dP": "the term y · Σ (y · g) is missing",
            "diagonal of the Jacobian only": "only the diagonal of the Jacobian is used",
        },
    ),
    Kind(
        "softmax",
        Operator(torch.nn.Softmax(-1), lambda r, n: {"x": r.standard_normal((n, 5))}),
        softmax_alone,
        {
            "diagonal of the Jacobian only": "only the diagonal of the Jacobian is used",
            "P times dP": "the term y · Σ (y · g) is missing",
            "softmax not differentiated": "the derivative of the softmax is missing, the gradient is passed on",
            "sum over the other axis": "the sum is taken over axis 0, not axis 1",
            "sum of dP alone": "the factor softmax is missing",
        },
    ),
)
