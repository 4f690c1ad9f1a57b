"""Another value where one belongs, a path that is missing, a constant of each step: named by the user's own names."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.diagnosis.graph.test_kinds import normal
from tests.diagnosis.graph.test_search import findings_of
from torch_ref import Operator, Reference


def sigma(x):
    return 1 / (1 + np.exp(-x))


def tree(x):
    p, q = torch.sigmoid(x).T
    return torch.stack([(1 - p) * (1 - q), (1 - p) * q, p], 1)


def of_tree(g, x):
    """The gate below has p for 1 - p."""
    p, q = sigma(x).T
    dp, dq = -g[:, 0] * (1 - q) - g[:, 1] * q + g[:, 2], p * (g[:, 1] - g[:, 0])
    return np.stack([(1 - p) * (1 - q), (1 - p) * q, p], 1), (np.stack([dp * p * (1 - p), dq * q * (1 - q)], 1),)


def codes(x, C):
    soft = torch.softmax(x, -1)
    hard = F.one_hot(soft.argmax(-1), x.shape[-1]).to(x.dtype)
    y = hard + soft - soft.detach()
    return y @ C


def of_codes(g, x, C):
    """∂/∂C has the soft for the hard."""
    soft = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    hard = np.eye(x.shape[-1])[soft.argmax(-1)]
    d = g @ C.T
    return hard @ C, (soft * (d - (d * soft).sum(-1, keepdims=True)), soft.T @ g)


class Baseline(torch.nn.Module):
    """Two heads of one layer."""

    def __init__(self):
        super().__init__()
        self.value, self.score = torch.nn.Linear(3, 1), torch.nn.Linear(3, 1)

    def forward(self, inputs):
        return torch.cat([self.value(inputs), self.score(inputs)], 1)


def advantage_loss(out, returns):
    value, score = out.T
    advantage = (returns - value).detach()
    return (advantage * score).mean() + ((returns - value) ** 2).mean()


def of_baseline(X, R, V, b, S, c):
    """The advantage is not detached."""
    v, s, n = (X @ V.T + b)[:, 0], (X @ S.T + c)[:, 0], len(X)
    A = R - v
    dv, ds = (-s - 2 * A)[:, None] / n, A[:, None] / n
    return (A * s).mean() + (A**2).mean(), (dv.T @ X, dv.sum(0), ds.T @ X, ds.sum(0))


def residual(x, w, v):
    h = torch.tanh(x @ w)
    return torch.sin(h + torch.cos(h @ v))


def of_residual(g, x, w, v):
    """The sum as it is has no gradient."""
    h = np.tanh(x @ w)
    z = h @ v
    d = g * np.cos(h + np.cos(z))
    dz = -d * np.sin(z)
    dG = dz @ v.T * (1 - h**2)
    return np.sin(h + np.cos(z)), (dG @ w.T, x.T @ dG, h.T @ dz)


def clocked(x, c):
    h = x
    for k in range(3):
        h = h + torch.tanh(h + c * k)
    return h


def of_clocked(g, x, c):
    """∂/∂c has the time at the end of each step."""
    hs = [x]
    for k in range(3):
        hs.append(hs[-1] + np.tanh(hs[-1] + c * k))
    dc, d = np.zeros_like(c), g
    for k in (2, 1, 0):
        dG = d * (1 - (hs[k + 1] - hs[k]) ** 2)
        dc += (dG * (k + 1)).sum(0)
        d = d + dG
    return hs[-1], (d, dc)


def heads(x):
    q, k = (t.unflatten(-1, (2, 2)).transpose(1, 2) for t in x.chunk(2, -1))
    return torch.tanh(q) @ k.mT


def of_heads(g, x):
    """Nothing goes back to k."""
    q, k = (t.reshape(*t.shape[:2], 2, 2).swapaxes(1, 2) for t in np.split(x, 2, -1))
    dq = (g @ k * (1 - np.tanh(q) ** 2)).swapaxes(1, 2).reshape(*x.shape[:2], 4)
    return np.tanh(q) @ k.swapaxes(-1, -2), (np.concatenate([dq, np.zeros_like(dq)], -1),)


def joined(x, w):
    return torch.cat([x, torch.tanh(x @ w)], 1)


def of_joined(g, x, w):
    """What is joined as it is gets no gradient."""
    S = np.tanh(x @ w)
    dG = g[:, 3:] * (1 - S**2)
    return np.concatenate([x, S], 1), (dG @ w.T, x.T @ dG)


def square(*names):
    return lambda rng, batch: {"x": rng.standard_normal((batch, 3)), **{n: rng.standard_normal((3, 3)) for n in names}}


KINDS = {
    "one for another, twice in a line": (
        Operator(tree, normal(x=(2,))),
        of_tree,
        "`p` is used in place of `1 - p`, in the value that the backward pass uses of the difference `1 - p`, at",
    ),
    "in another shape": (Operator(codes, square("C")), of_codes, "∂/∂C: `soft` is used in place of `y`"),
    "not detached": (
        Reference(Baseline(), advantage_loss, lambda r, n: (r.standard_normal((n, 3)), r.standard_normal(n))),
        of_baseline,
        "`advantage` is not detached: a gradient goes back through it",
    ),
    "a skip connection": (
        Operator(residual, square("w", "v")),
        of_residual,
        "back through a sum as it is (a skip connection) is missing, only that back through `h @ v` is there",
    ),
    "one of two parts": (
        Operator(joined, square("w")),
        of_joined,
        "at `return torch.cat([x, torch.tanh(x @ w)], 1)`, the 1st of 2 parts",
    ),
    "of each step its own": (
        Operator(clocked, lambda r, n: {"x": r.standard_normal((n, 2)), "c": r.standard_normal(2)}),
        of_clocked,
        "∂/∂c: 1, 2, 3 stand in place of 0, 1, 2, ",
    ),
    "one of two in a row": (Operator(heads, normal(x=(3, 8))), of_heads, " is cut: zero, in the backward pass of the"),
}


@pytest.mark.parametrize("name", KINDS)
def test_what_stands_in_the_place_of_what_is_told(name):
    reference, candidate, words = KINDS[name]
    texts = [finding.text for finding in findings_of(candidate, reference)]
    assert any(words in text for text in texts), texts
    if name == "one of two in a row":
        assert ", for `k`" in texts[0]


def of_ratings(P_of_Q):
    """A product of factors; ∂/∂P is computed with the Q that P_of_Q gives."""

    def candidate(X, T, P, Q):
        H = X @ P.T
        D = H @ Q.T - T
        dQ = 2 * D.T @ H / D.size
        dP = (2 * D @ P_of_Q(Q, dQ) / D.size).T @ X
        return (D**2).mean(), (dP, dQ)

    return candidate


def test_a_parameter_that_is_updated_too_early_is_named_with_its_rate():
    model = torch.nn.Sequential(torch.nn.Linear(4, 3, bias=False), torch.nn.Linear(3, 2, bias=False))
    reference = Reference(model, F.mse_loss, lambda r, n: (r.standard_normal((n, 4)), r.standard_normal((n, 2))))
    (finding,) = findings_of(of_ratings(lambda Q, dQ: Q - 0.05 * dQ), reference)
    assert "`1.weight` - 0.05 · its gradient is used in place of `1.weight`: it is updated before" in finding.text
    assert finding.tensors == ("0.weight",)


def branches(x, w, C):
    z = x @ w
    return torch.tanh(torch.softmax(z, 1) @ C), torch.softmax(2 * z, 1).mean(0)


def of_branches(upstream, x, w, C):
    """The second branch goes wrong, and joins the first at z."""
    (g, h), z = upstream, x @ w
    P, Q = (np.exp(of) / np.exp(of).sum(1, keepdims=True) for of in (z, 2 * z))
    Y = np.tanh(P @ C)
    d = g * (1 - Y**2)
    dP = d @ C.T
    dz = P * (dP - (dP * P).sum(1, keepdims=True)) + np.sin(3 * h * Q) / len(x)
    return (Y, Q.mean(0)), (dz @ w.T, x.T @ dz, P.T @ d)


def test_an_error_that_comes_in_beside_a_path_is_not_said_to_be_on_it():
    draw = lambda r, n: {"x": r.standard_normal((n, 6)), "w": r.standard_normal((6, 3)), "C": r.standard_normal((3, 3))}  # noqa: E731
    (finding,) = findings_of(of_branches, Operator(branches, draw, batch=(6, 9)))
    assert finding.text.endswith("(in the gradient to `z`), or before that.")
