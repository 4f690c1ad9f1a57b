"""Kinds of mistakes that people make, each planted small: what is said is true as it reads."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.diagnosis.graph.test_search import findings_of
from torch_ref import Operator


def normal(**shapes):
    return lambda rng, batch: {name: rng.standard_normal((batch, *shape)) for name, shape in shapes.items()}


def leaky(x):
    return F.leaky_relu(x, 0.1)


def of_leaky(g, x):
    return np.where(x > 0, x, 0.1 * x), (np.where(x > 0, g, 0),)


def leaky_for_relu(g, x):
    return np.where(x > 0, x, 0.1 * x), (np.where(x > 0, g, 0.1 * g),)


def with_slope(function, above, below):
    """The gradient with another slope on each side of 0."""
    return lambda g, x: (function(torch.from_numpy(x)).numpy(), (np.where(x > 0, above(x), below(x)) * g,))


def highway(x, W, V):
    for _ in range(2):
        T = torch.sigmoid(x @ W)
        x = T * torch.tanh(x @ V) + (1 - T) * x
    return x


def of_highway(wrong):
    """wrong: the gates, or the weights, in each other's place."""

    def candidate(g, x, W, V):
        steps = []
        for _ in range(2):
            T, S = 1 / (1 + np.exp(-x @ W)), np.tanh(x @ V)
            steps.append((x, T, S))
            x = T * S + (1 - T) * x
        out, dW, dV = x, np.zeros_like(W), np.zeros_like(V)
        for x, T, S in reversed(steps):
            to_S, to_x = (1 - T, T) if wrong == "gates" else (T, 1 - T)
            dG, dZ = g * to_S * (1 - S**2), g * (S - x) * T * (1 - T)
            dW, dV = dW + x.T @ dZ, dV + x.T @ dG
            g = g * to_x + (dZ @ V.T + dG @ W.T if wrong == "weights" else dZ @ W.T + dG @ V.T)
        return out, (g, dW, dV)

    return candidate


def draw_highway(rng, batch):
    return {"x": rng.standard_normal((batch, 3)), "W": rng.standard_normal((3, 3)), "V": rng.standard_normal((3, 3))}


def stepwise(input, weight, bias):  # noqa: A002  # as torch calls it
    return input @ weight.T + bias


def of_stepwise(of_bias):
    """The bias gets the sum of something else."""

    def candidate(g, x, W, b):
        return x @ W.T + b, (g @ W, np.einsum("bto,bti->oi", g, x), of_bias(g, x))

    return candidate


def draw_stepwise(rng, batch):
    normal_ = rng.standard_normal
    return {"input": normal_((batch, 4, 3)), "weight": normal_((3, 3)), "bias": normal_(3)}


def max_pooled(x):
    return F.max_pool2d(x, 2)


def of_max_pooled(wrong):
    def candidate(g, x):
        windows = x.reshape(len(x), 2, 2, 2, 3, 2).swapaxes(3, 4)
        largest = windows.max((4, 5), keepdims=True)
        dx = g[..., None, None] * (np.full(windows.shape, 0.25) if wrong == "shared" else windows == largest)
        return largest[..., 0, 0], ((dx if wrong == "in a row" else dx.swapaxes(3, 4)).reshape(x.shape),)

    return candidate


def clamped(x):
    return x.clamp(-0.5, 0.5)


def of_clamped(g, x):
    return x.clip(-0.5, 0.5), (g,)


def rows_by_two_indices(x, W, V, src, dst):
    return x[src] @ W + x[dst] @ V


def of_rows(g, x, W, V, src, dst):
    dx = np.zeros_like(x)
    np.add.at(dx, src, g @ W.T)
    np.add.at(dx, src, g @ V.T)
    return x[src] @ W + x[dst] @ V, (dx, x[src].T @ g, x[dst].T @ g)


def draw_rows(rng, batch):
    normal_ = rng.standard_normal
    return {
        "x": normal_((5, 3)),
        "W": normal_((3, 2)),
        "V": normal_((3, 2)),
        **{name: rng.integers(0, 5, 5 + batch) for name in ("src", "dst")},
    }


class Pairs(nn.Module):
    def __init__(self):
        super().__init__()
        self.centers, self.contexts = nn.Embedding(6, 3), nn.Embedding(6, 3)

    def forward(self, center, context):
        return (self.centers(center) * self.contexts(context)).sum(1)


def of_pairs(g, center, context, V, W):
    dV, dW = np.zeros_like(V), np.zeros_like(W)
    np.add.at(dV, center, g[:, None] * W[context])
    np.add.at(dW, center, g[:, None] * V[center])
    return (V[center] * W[context]).sum(1), (dV, dW)


def draw_pairs(rng, batch):
    return {name: rng.integers(0, 6, 3 + batch) for name in ("center", "context")}


def weighted_mean(x, w):
    weights = torch.exp(w)
    total = weights.sum()
    return (weights * x).sum() / total


def of_weighted_mean(g, x, w):
    weights = np.exp(w)
    out = (weights * x).sum() / weights.sum()
    return out, (g * weights / len(x), g * weights * (x / len(x) - out / weights.sum()))


def likelihood(mu, s):
    var = F.softplus(s)
    return mu * mu / var + torch.log(var)


def of_likelihood(g, mu, s):
    var = np.log1p(np.exp(s))
    slope = 1 / (1 + np.exp(-s))
    return mu**2 / var + np.log(var), (g * 2 * mu / np.sqrt(var), g * slope * (1 / var - mu**2 / var**2))


def gated(x, W, V):
    gate = torch.sigmoid(x @ W)
    linear = x @ V
    return gate * linear


def of_gated(g, x, W, V):
    gate, linear = 1 / (1 + np.exp(-x @ W)), x @ V
    dlinear, dgate = g * gate, g * linear * gate * (1 - gate)
    dlinear = dlinear * (1 - linear**2)
    return gate * linear, (dlinear @ V.T + dgate @ W.T, x.T @ dgate, x.T @ dlinear)


def draw_gated(rng, batch):
    return {"x": rng.standard_normal((batch, 4)), "W": rng.standard_normal((4, 3)), "V": rng.standard_normal((4, 3))}


def shares(p):
    positive = torch.exp(p)
    return ((positive * positive).sum(1) / positive.sum(1)).mean()


def of_shares(g, p):
    positive = np.exp(p)
    squares, sums = (positive**2).sum(1), positive.sum(1)
    whole = (2 * positive * positive.sum() - (positive**2).sum()) / positive.sum() ** 2
    return (squares / sums).mean(), (g * whole * positive,)


def residual_steps(x):
    for _ in range(3):
        x = x + torch.tanh(x.flip(1))
    return x


def of_residual_steps(g, x):
    inner = x
    for _ in range(2):
        inner = inner + np.tanh(inner[:, ::-1])
    slope = 1 - np.tanh(inner[:, ::-1]) ** 2
    return inner + np.tanh(inner[:, ::-1]), (g + (g * slope)[:, ::-1],)


def causal(q, k):
    mask = torch.ones(4, 4, dtype=torch.bool).tril()
    return torch.where(mask, q @ k.mT, 0.0)


def of_causal(g, q, k):
    mask = np.tri(4, dtype=bool)
    d = g * mask.T
    return (q @ k.swapaxes(1, 2)) * mask, (d @ k, d.swapaxes(1, 2) @ q)


def pooled(x):
    return F.avg_pool1d(x, 2)


def of_pooled(g, x):
    dx = np.zeros_like(x)
    dx[..., ::2] = g
    return (x[..., ::2] + x[..., 1::2]) / 2, (dx,)


def both(x, w, v):
    return torch.tanh(x @ w) * torch.tanh(x @ v)


def of_both(g, x, w, v):
    a, b = np.tanh(x @ w), np.tanh(x @ v)
    dA, dB = g * b * (1 - a**2), g * a
    return a * b, (dA @ w.T + dB @ v.T, x.T @ dA, x.T @ dB)


def two_paths(x, s, w):
    a = torch.exp(s * w)
    b = (a - 1) * w
    return a * x + b


def of_two_paths(g, x, s, w):
    """∂/∂s lacks the path through b, which ∂/∂w has."""
    a = np.exp(s * w)
    from_x, from_b = (g * x).sum(0), g.sum(0) * w
    ds = (from_x * a * w).sum(keepdims=True)
    return a * x + (a - 1) * w, (g * a, ds, (from_x + from_b) * a * s + g.sum(0) * (a - 1))


def midpoints(x, w):
    f = lambda x: torch.tanh(x @ w)  # noqa: E731
    for _ in range(3):
        a = f(x)
        x = x + f(x + a / 2)
    return x


def of_midpoints(g, x, w):
    """∂/∂w takes the begin of each step for its middle."""
    steps = []
    for _ in range(3):
        a = np.tanh(x @ w)
        b = np.tanh((x + a / 2) @ w)
        steps.append((x, a, b))
        x = x + b
    out, dw = x, np.zeros_like(w)
    for begin, a, b in reversed(steps):
        dB = g * (1 - b**2)
        dA = dB @ w.T / 2 * (1 - a**2)
        dw += begin.T @ dB + begin.T @ dA
        g = g + dB @ w.T + dA @ w.T
    return out, (g, dw)


def instance(x):
    return F.instance_norm(x, eps=0.1)


def of_instance(g, x):
    centered = x - x.mean(-1, keepdims=True)
    root = np.sqrt((centered**2).mean(-1, keepdims=True) + 0.1)
    return centered / root, ((g - g.mean(-1, keepdims=True)) / root,)


def masked_mean(x, mask):
    return (torch.tanh(x) * mask).sum(1) / mask.sum(1).clamp(min=1)


def of_masked_mean(of):
    """The gradient divided by `of` the mask, where Σ mask belongs."""

    def candidate(g, x, mask):
        S = np.tanh(x)
        dS = g[:, None] * mask / of(mask)
        return (S * mask).sum(1) / mask.sum(1).clip(1), (dS * (1 - S**2),)

    return candidate


def draw_masked(rng, batch):
    return {"x": rng.standard_normal((batch, 5)), "mask": (rng.random((batch, 5)) < 0.6).astype(float)}


KINDS = {
    "leaky": (leaky, of_leaky, normal(x=(4,)), "0 stands in place of `upstream` · 0.1 where `x` ≤ 0"),
    "slope of a ReLU": (
        torch.relu,
        with_slope(torch.relu, np.ones_like, lambda x: 0 * x + 0.07),
        normal(x=(4,)),
        "the derivative of the ReLU is computed as 1 where x > 0, else 0.07 (x: what goes into it",
    ),
    "slope of an ELU": (
        F.elu,
        with_slope(F.elu, np.ones_like, lambda x: 0.3 * np.exp(x)),
        normal(x=(4,)),
        "the derivative of the ELU is computed as 1 where x > 0, else 0.3 eˣ (x: what goes into it",
    ),
    "leaky for ReLU": (
        torch.relu,
        leaky_for_relu,
        normal(x=(4,)),
        "a leaky ReLU of slope 0.1 stands in place of the ReLU",
    ),
    "gates": (highway, of_highway("gates"), draw_highway, "`T` and `1 - T` are exchanged, each stands where the other"),
    "weights": (
        highway,
        of_highway("weights"),
        draw_highway,
        "`W`ᵀ and `V`ᵀ are exchanged, each stands where the other",
    ),
    "last step": (
        F.linear,
        of_stepwise(lambda g, _: g[:, -1].sum(0)),
        draw_stepwise,
        "only the last of each sample counts, not the sum over all",
    ),
    "factor in a sum": (
        stepwise,
        of_stepwise(lambda g, x: (g * x).sum((0, 1))),
        draw_stepwise,
        "`upstream` · `input` is summed, not `upstream`",
    ),
    "shared": (
        max_pooled,
        of_max_pooled("shared"),
        normal(x=(2, 4, 6)),
        "each element of a window gets the same share",
    ),
    "in a row": (
        max_pooled,
        of_max_pooled("in a row"),
        normal(x=(2, 4, 6)),
        "the windows are laid out one after another",
    ),
    "clamp": (clamped, of_clamped, normal(x=(4,)), "the derivative of the clamp is missing"),
    "index": (rows_by_two_indices, of_rows, draw_rows, "the index is `src`, not `dst`"),
    "tokens": (Pairs(), of_pairs, draw_pairs, "the index is `center`, not `context`"),
    "divisor": (
        weighted_mean,
        of_weighted_mean,
        lambda rng, batch: {name: rng.standard_normal(batch) for name in "xw"},
        "divided by the batch, not by `total`",
    ),
    "root": (likelihood, of_likelihood, normal(mu=(3,), s=(3,)), "√(`var`)"),
    "stray slope": (gated, of_gated, draw_gated, "is multiplied by 1 - y² too often, y being `linear`"),
    "batch": (shares, of_shares, normal(p=(4,)), "the sum is taken over axes 0, 1, not axis 1"),
    "mask": (causal, of_causal, normal(q=(4, 3), k=(4, 3)), "`mask` has its axes 0 and 1 exchanged"),
    "pooling": (pooled, of_pooled, normal(x=(2, 4)), "the first element of each window gets all"),
    "one of two": (
        both,
        of_both,
        lambda rng, batch: {name: rng.standard_normal((batch if name == "x" else 3, 3)) for name in "xwv"},
        "in the backward pass of the tanh `torch.tanh(x @ v)`, at",
    ),
    "a path of one alone": (
        two_paths,
        of_two_paths,
        lambda r, n: {"x": r.standard_normal((n, 4)), "s": r.standard_normal(1), "w": r.standard_normal(4)},
        "the gradient to `a - 1` back through `b` is cut: zero, in the backward pass of the product, at `b = (a - 1)",
    ),
    "one of two calls": (
        midpoints,
        of_midpoints,
        lambda r, n: {"x": r.standard_normal((n, 3)), "w": r.standard_normal((3, 3))},
        "the 2nd, 4th and 6th of 6 that come from this line",
    ),
    "instance": (instance, of_instance, normal(x=(2, 5)), "in the backward pass of the instance norm"),
}


def hidden(x, mask):
    return torch.softmax(x.masked_fill(mask == 0, -1e9), -1)


def of_hidden(g, x, _mask):
    """Without the mask."""
    P = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    return P, (P * (g - (P * g).sum(-1, keepdims=True)),)


def test_a_mask_that_is_not_looked_at_is_not_data_that_are_standardized():
    found = findings_of(of_hidden, Operator(hidden, draw_shown, constant=("mask",)))
    assert "`mask` = 0" in found[0].text
    assert "standardized" not in found[0].text


def draw_shown(rng, batch):
    return {"x": rng.standard_normal((batch, 5)), "mask": np.maximum(rng.random((batch, 5)) < 0.6, np.eye(5)[0])}


MASKED = Operator(masked_mean, draw_masked, constant=("mask",))


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (lambda mask: mask.shape[1], "the number of all elements of `mask` along axis 1"),
        (len, "the batch"),
        (lambda mask: mask.size, "the number of elements of `mask`"),
    ],
)
def test_a_size_in_the_place_of_what_a_mask_counts_is_named(size, words):
    (finding,) = findings_of(of_masked_mean(size), MASKED)
    assert f"divided by {words}, not by Σ `mask`, in the backward pass of the quotient" in finding.text


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_of_mistake_is_named(name):
    function, candidate, draw, words = KINDS[name]
    found = [of.text for of in findings_of(candidate, Operator(function, draw, batch=(2, 6)))]
    assert any(words in text for text in found), found


def test_what_still_flows_back_is_not_said_to_be_cut_off():
    found = findings_of(of_residual_steps, Operator(residual_steps, normal(x=(3,)), batch=(2, 6)))
    assert "cut: zero" in found[0].text
    assert "at steps 1, 2 of 3" in found[0].text
    assert "nothing flows back" not in found[0].text
