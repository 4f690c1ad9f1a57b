"""SwiGLU, PReLU, a residual block, a network with GELU."""

import numpy as np
import torch
from torch import nn

from tests.benchmark.naming.kind import Kind
from tests.benchmark.naming.norms import back
from torch_ref import Operator, Reference

WIDTH, HIDDEN = 4, 5


def sigma(x):
    return 1 / (1 + np.exp(-x))


class SwiGLU(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate, self.up = nn.Linear(WIDTH, HIDDEN, bias=False), nn.Linear(WIDTH, HIDDEN, bias=False)
        self.down = nn.Linear(HIDDEN, WIDTH, bias=False)

    def forward(self, x):
        return self.down(nn.functional.silu(self.gate(x)) * self.up(x))


def swiglu(g, x, Wg, Wu, Wd, m):
    a, u = x @ Wg.T, x @ Wu.T
    s = sigma(a)
    silu = a * s
    h = silu * u
    dh = g @ Wd
    du = dh * (s if m == "sigmoid for SiLU" else a if m == "gate not activated" else silu)
    slope = {
        "slope of sigmoid": s * (1 - s),
        "slope without its second term": s,
        "sign in the slope": s - a * s * (1 - s),
        "no slope": np.ones_like(s),
        "slope of ReLU": (a > 0) * 1.0,
    }.get(m, s * (1 + a * (1 - s)))
    da = dh * slope * (1 if m == "up missing at the gate" else u)
    dx = (0 if m == "gate cut from the input" else da @ Wg) + du @ (Wg if m == "gate's weight for up" else Wu)
    return h @ Wd.T, (dx, da.T @ x, du.T @ x, g.T @ (silu if m == "down from the gate alone" else h))


class Rectified(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.act, self.last = nn.Linear(3, HIDDEN), nn.PReLU(HIDDEN), nn.Linear(HIDDEN, 2)

    def forward(self, x):
        return self.last(self.act(self.first(x)))


def prelu(X, T, W, b, a, V, c, m):
    G = X @ W.T + b
    S = np.where(G > 0, G, a * G)
    Y = S @ V.T + c
    dY = 2 * (Y - T) / Y.size
    dS = dY @ V
    below = {
        "zero below": np.zeros_like(a),
        "one below": np.ones_like(a),
        "the default slope": np.full_like(a, 0.25),
    }.get(m, a)
    dG = dS * np.where(G > 0, 1, np.broadcast_to(below, G.shape))
    if m == "sides exchanged":
        dG = dS * np.where(G > 0, a, 1)
    da = dS * {
        "slope's gradient everywhere": G,
        "slope's gradient of the other side": np.maximum(G, 0),
        "slope's gradient without G": (G <= 0) * 1.0,
    }.get(m, np.minimum(G, 0))
    da = (
        da.mean(0)
        if m == "slope's gradient averaged"
        else np.full_like(a, da.sum())
        if m == "one slope for all"
        else da.sum(0)
    )
    return ((Y - T) ** 2).mean(), (dG.T @ X, dG.sum(0), da, dY.T @ S, dY.sum(0))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.first, self.last = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)

    def forward(self, x):
        return x + self.last(torch.relu(self.first(self.norm(x))))


def residual(g, x, w, b, W, c, V, d, m):
    mean = x.mean(1, keepdims=True)
    sd = np.sqrt(((x - mean) ** 2).mean(1, keepdims=True) + 1e-5)
    N = (x - mean) / sd
    n = N * w + b
    G = n @ W.T + c
    H = np.maximum(G, 0)
    dH = (2 * g if m == "branch twice" else g) @ V
    dG = dH * (1 if m == "no ReLU" else (H >= 0) if m == "mask with >=" else (G > 0))
    dn = dG @ W
    dx = back(dn if m == "gamma missing" else dn * w, N, sd, (1,), m)
    dx = dx + (0 if m == "skip cut" else g)
    if m == "branch cut":
        dx = g
    if m == "skip through the norm":
        dx = back((dn + g) * w, N, sd, (1,), m)
    first = dG.T @ (x if m == "x for the normalized" else n)
    return x + H @ V.T + d, (
        dx,
        (dn * N).sum(0),
        dn.sum(0),
        first,
        dG.sum(0),
        g.T @ (G if m == "pre-activation for the last" else H),
        g.sum(0),
    )


def smooth(X, T, W, b, V, c, m):
    G = X @ W.T + b
    Phi, phi = torch.special.ndtr(torch.from_numpy(G)).numpy(), np.exp(-(G**2) / 2) / np.sqrt(2 * np.pi)
    H = G * Phi
    Y = H @ V.T + c
    dY = 2 * (Y - T) / Y.size
    slope = {
        "slope without its second term": Phi,
        "slope of the tanh formula": _tanh_slope(G),
        "sign in the slope": Phi - G * phi,
        "density without its constant": Phi + G * np.exp(-(G**2) / 2),
        "no slope": np.ones_like(G),
    }.get(m, Phi + G * phi)
    dG = (dY @ V) * slope
    dV = dY.T @ (G if m == "pre-activation for the last" else H)
    return ((Y - T) ** 2).mean(), (dG.T @ X, dG.sum(0), dV, dY.sum(0) / (len(X) if m == "bias averaged" else 1))


def _tanh_slope(x):
    k = np.sqrt(2 / np.pi)
    t = np.tanh(k * (x + 0.044715 * x**3))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t**2) * k * (1 + 3 * 0.044715 * x**2)


def draw(rng, batch):
    return rng.standard_normal((batch, 3)), rng.standard_normal((batch, 2))


KINDS = (
    Kind(
        "SwiGLU",
        Operator(SwiGLU(), lambda r, n: {"x": r.standard_normal((n, WIDTH))}),
        swiglu,
        {
            "sigmoid for SiLU": "the factor matrix product of `gate` is missing",
            "gate not activated": "the factor σ(the matrix product of `gate`) is missing",
            "slope of sigmoid": "the derivative of the SiLU is computed as σ′(x)",
            "slope without its second term": "the derivative of the SiLU is computed as σ(x)",
            "sign in the slope": "the sign of the matrix product of `gate` ·",
            "no slope": "the derivative of the SiLU is missing, the gradient is passed on",
            "slope of ReLU": "the derivative of the SiLU is computed as 1 where x > 0, else 0",
            "up missing at the gate": "the factor matrix product of `up` is missing",
            "gate cut from the input": "the gradient to `x` back through the matrix product of `gate` is cut: zero",
            "gate's weight for up": "`gate.weight` is used in place of `up.weight`",
            "down from the gate alone": "the factor matrix product of `up` is missing",
        },
    ),
    Kind(
        "PReLU",
        Reference(Rectified(), nn.functional.mse_loss, draw),
        prelu,
        {
            "zero below": "0 stands in place of `act.weight` · g where the linear layer of `first` ≤ 0",
            "one below": "the gradient that comes in stands in place of `act.weight` · g where",
            "sides exchanged": "the two sides of the condition are exchanged",
            "slope's gradient everywhere": "the mask is not applied",
            "slope's gradient of the other side": "the two sides of the condition are exchanged",
            "slope's gradient without G": "the factor linear layer of `first` is missing",
            "slope's gradient averaged": "1/batch × autograd's",
            "one slope for all": "the gradient to `act.weight` back through the PReLU of `act` is summed over axis 1 too: one number for all, where each has its own",
        },
    ),
    Kind(
        "residual block",
        Operator(Residual(), lambda r, n: {"x": r.standard_normal((n, WIDTH))}),
        residual,
        {
            "no ReLU": "the derivative of the ReLU is missing, the gradient is passed on",
            "mask with >=": "the derivative of the ReLU is missing, the gradient is passed on",
            "gamma missing": "the factor `norm.weight` is missing",
            "skip cut": "the gradient back through a sum as it is (a skip connection) is missing",
            "branch cut": "the gradient to `x` back through the layer norm of `norm` is cut: zero",
            "branch twice": "the gradient to `x` back through the layer norm of `norm` is 2 times what it should be",
            "skip through the norm": "",
            "no mean term": "the term that comes from the mean is missing",
            "no variance term": "the term that comes from the variance is missing",
            "x for the normalized": "`x` is used in place of the layer norm of `norm`",
            "pre-activation for the last": "the ReLU is left out",
        },
    ),
    Kind(
        "GELU",
        Reference(nn.Sequential(nn.Linear(3, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, 2)), nn.functional.mse_loss, draw),
        smooth,
        {
            "slope without its second term": "the derivative of the GELU is computed as Φ(x)",
            "slope of the tanh formula": "the derivative of the GELU is computed as the derivative of GELU by its tanh formula, of x",
            "sign in the slope": "the sign of the term x φ(x) is the wrong way round",
            "density without its constant": "the factor 1/√(2π) of φ(x) is missing",
            "no slope": "the derivative of the GELU is missing, the gradient is passed on",
            "pre-activation for the last": "the linear layer of `0` is used in place of the GELU of `1`",
            "bias averaged": "1/batch × autograd's",
        },
    ),
)
