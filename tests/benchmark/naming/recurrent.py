"""An RNN with tanh, a GRU and an LSTM over a few steps, backpropagation through time: torch's cells, and its layers."""

import numpy as np
import torch
from torch import nn

from tests.benchmark.naming.kind import Kind
from torch_ref import Reference

TIME, FEATURES, STATE = 4, 3, 5


class Over(nn.Module):
    """A cell over the steps; its last state goes to a linear layer."""

    def __init__(self, cell):
        super().__init__()
        self.cell = cell
        self.head = nn.Linear(STATE, 2)

    def forward(self, X):
        h = X.new_zeros(len(X), STATE)
        state = (h, torch.zeros_like(h)) if isinstance(self.cell, nn.LSTMCell) else h
        for t in range(X.shape[1]):
            state = self.cell(X[:, t], state)
        return self.head(state[0] if isinstance(state, tuple) else state)


class Layer(Over):
    """The same with a layer that runs all the steps itself."""

    def forward(self, X):
        out, _ = self.cell(X)
        return self.head(out[:, -1])


def draw(rng, batch):
    return rng.standard_normal((batch, TIME, FEATURES)), rng.uniform(-1, 1, (batch, 2))


def reference_of(cell):
    return Reference(Over(cell(FEATURES, STATE)), nn.functional.mse_loss, draw)


def layer_of(kind, layer, **others):
    """The same mistakes where a layer of torch is the reference; others: what is said of some, where it is not alike."""
    reference = Reference(Layer(layer(FEATURES, STATE, batch_first=True)), nn.functional.mse_loss, draw)
    words = {mistake: of.replace("`cell.weight_hh`", "`cell.weight_hh_l0`") for mistake, of in kind.mistakes.items()}
    return Kind(f"{kind.name} layer", reference, kind.by_hand, words | others)


def sigma(x):
    return 1 / (1 + np.exp(-x))


def rnn(X, T, W, U, bW, bU, V, c, m):
    states = [np.zeros((len(X), STATE))]
    for t in range(TIME):
        states.append(np.tanh(X[:, t] @ W.T + bW + states[-1] @ U.T + bU))
    Y = states[-1] @ V.T + c
    dY = 2 * (Y - T) / T.size
    dW, dU, db = np.zeros_like(W), np.zeros_like(U), np.zeros_like(bW)
    dh = dY @ V
    for t in reversed(range(TIME)):
        s = states[t] if m == "slope of the state before" else states[t + 1]
        slope = {"no slope": np.ones_like(s), "slope of sigmoid": s * (1 - s), "slope 1 - s": 1 - s}.get(m, 1 - s**2)
        dG = dh * slope
        dW += (dh if m == "W without slope" else dG).T @ X[:, 0 if m == "first input at every step" else t]
        dU += dG.T @ states[t + 1 if m == "U from the state after" else t]
        db = db + dG.sum(0) if m != "bias of the first step only" else dG.sum(0)
        dh = dG @ (U.T if m == "U not transposed" else W @ W.T if m == "other matrix" else U)
        if m == "one step only":
            break
        if m == "two steps only" and t == TIME - 2:
            break
        if m == "not through time":
            dh = np.zeros_like(dh)
    return ((Y - T) ** 2).mean(), (dW, dU, db, db.copy(), dY.T @ states[-1], dY.sum(0))


def gru(X, T, W, U, bW, bU, V, c, m):
    h, steps = np.zeros((len(X), STATE)), []
    cut = [slice(i * STATE, (i + 1) * STATE) for i in range(3)]  # reset, update, new
    for t in range(TIME):
        a, b = X[:, t] @ W.T + bW, h @ U.T + bU
        r, z = sigma(a[:, cut[0]] + b[:, cut[0]]), sigma(a[:, cut[1]] + b[:, cut[1]])
        n = np.tanh(a[:, cut[2]] + r * b[:, cut[2]])
        steps.append((h, r, z, n, b[:, cut[2]]))
        h = (1 - z) * n + z * h
    Y = h @ V.T + c
    dY = 2 * (Y - T) / T.size
    dV, dc, dh = dY.T @ h, dY.sum(0), dY @ V
    dW, dU, dbW, dbU = (np.zeros_like(p) for p in (W, U, bW, bU))
    for t in reversed(range(TIME)):
        h, r, z, n, b = steps[t]
        dz = dh * (h + n if m == "sign in the update gate" else -n if m == "update gate without h" else h - n)
        dn = dh * (z if m == "z for 1 - z" else 1 - z) * (1 if m == "no slope of n" else 1 - n**2)
        dr = np.zeros_like(r) if m == "reset gate cut" else dn * (h if m == "h for the product" else b)
        dgates = [
            dr * (1 if m == "no slope of r" else r * (1 - r)),
            dz * (1 if m == "no slope of z" else z * (1 - z)),
        ]
        if m == "gates exchanged":
            dgates.reverse()
        da = np.concatenate([*dgates, dn], 1)
        db = np.concatenate([*dgates, dn * (1 if m == "no reset gate for U" else r)], 1)
        dW += da.T @ X[:, t]
        dU += db.T @ h
        dbW += da.sum(0)
        dbU += (da if m == "both biases alike" else db).sum(0)
        through_gates = 0 if m == "gates cut from the state" else db @ U
        dh = through_gates + (0 if m == "direct path cut" else dh * z)
    return ((Y - T) ** 2).mean(), (dW, dU, dbW, dbU, dV, dc)


def lstm(X, T, W, U, bW, bU, V, k, m):
    h, c, steps = np.zeros((len(X), STATE)), np.zeros((len(X), STATE)), []
    for t in range(TIME):
        i, f, g, o = np.split(X[:, t] @ W.T + bW + h @ U.T + bU, 4, 1)
        i, f, g, o = sigma(i), sigma(f), np.tanh(g), sigma(o)
        new = f * c + i * g
        steps.append((h, c, new, i, f, g, o))
        c, h = new, o * np.tanh(new)
    Y = h @ V.T + k
    dY = 2 * (Y - T) / T.size
    dV, dk, dh, dc = dY.T @ h, dY.sum(0), dY @ V, 0
    dW, dU, db = np.zeros_like(W), np.zeros_like(U), np.zeros_like(bW)
    for t in reversed(range(TIME)):
        h, c, new, i, f, g, o = steps[t]
        th = np.tanh(new)
        do = dh * (new if m == "c for tanh c at the output gate" else th)
        dc = dc + dh * o * (1 if m == "no slope of tanh c" else 1 - (th if m == "1 - tanh" else th**2))
        di, dg, df = dc * g, dc * i, dc * (new if m == "new cell at the forget gate" else c)
        if m == "input and candidate exchanged":
            di, dg = dg, di
        parts = [
            di * i * (1 - i),
            np.zeros_like(df) if m == "forget gate not trained" else df * f * (1 - f),
            dg * (g * (1 - g) if m == "sigmoid slope for the candidate" else 1 - g**2),
            do * (1 if m == "no slope of the output gate" else o * (1 - o)),
        ]
        if m == "gates in another order":
            parts = [parts[0], parts[1], parts[3], parts[2]]
        da = np.concatenate(parts, 1)
        dW += da.T @ X[:, t]
        dU += da.T @ h
        db += da.sum(0)
        dh = np.zeros_like(h) if m == "no gradient through h" else da @ U
        dc = 0 if m == "no gradient through c" else dc if m == "forget gate missing" else dc * f
    return ((Y - T) ** 2).mean(), (dW, dU, db, db.copy(), dV, dk)


CELLS = (
    Kind(
        "RNN",
        reference_of(nn.RNNCell),
        rnn,
        {
            "no slope": "the derivative of the tanh is missing, the gradient is passed on",
            "slope of sigmoid": "the derivative of the tanh is computed as y",
            "slope 1 - s": "the derivative of the tanh is computed as 1 - y",
            "slope of the state before": "`h_(t-1)` is used in place of `h_t`",
            "W without slope": "the derivative of the tanh is missing",
            "first input at every step": "`inputs` is that of the first step every time",
            "U from the state after": "`h_t` is used in place of `h_(t-1)`",
            "bias of the first step only": "the gradients of several steps are not added up, some are missing",
            "U not transposed": "`cell.weight_hh` is transposed, and should not be",
            "one step only": "at steps 2, 3, 4 of 4: nothing flows back through time",
            "two steps only": "the gradient back through the tanh that gives `h_t` is cut: zero",
            "not through time": "at steps 2, 3, 4 of 4: nothing flows back through time",
        },
    ),
    Kind(
        "GRU",
        reference_of(nn.GRUCell),
        gru,
        {
            "sign in the update gate": "in the gradient to `z` alone, the sign of `n` is the wrong way round",
            "update gate without h": "in the gradient to `z` alone, the term `h_(t-1)` is missing",
            "z for 1 - z": "the gradient to `h_(t-1)` - `n` back through the product (`h_(t-1)` - `n`) · `z` stands in place of the sum of all that comes in",
            "no slope of n": "the derivative of the tanh is missing, the gradient is passed on",
            "reset gate cut": "the gradient back through the sigmoid that gives `r` is cut: zero",
            "h for the product": "`h_(t-1)` is used in place of `W_hn h + b_hn`",
            "no slope of r": "the derivative of the sigmoid is missing, the gradient is passed on",
            "no slope of z": "the derivative of the sigmoid is missing, the gradient is passed on",
            "gates exchanged": "of the gradient back through the split of `cell`, blocks 1 (`r`) and 2 (`z`) of 3 along axis 1 are exchanged",
            "no reset gate for U": "the factor `r` is missing",
            "both biases alike": "compute its own",
            "gates cut from the state": "the gradient back through the linear layer of `cell` is cut: zero",
            "direct path cut": "the product (`h_(t-1)` - `n`) · `z` is missing",
        },
    ),
    Kind(
        "LSTM",
        reference_of(nn.LSTMCell),
        lstm,
        {
            "c for tanh c at the output gate": "the tanh is left out",
            "no slope of tanh c": "the derivative of the tanh is missing, the gradient is passed on",
            "1 - tanh": "the derivative of the tanh is computed as 1 - y",
            "new cell at the forget gate": "`c_t` is used in place of `c_(t-1)`",
            "input and candidate exchanged": "the gradients to the two factors are exchanged",
            "forget gate not trained": "the gradient back through the sigmoid that gives `f` is cut: zero",
            "sigmoid slope for the candidate": "the derivative of the tanh is computed as y",
            "no slope of the output gate": "the derivative of the sigmoid is missing, the gradient is passed on",
            "gates in another order": "of the gradient back through the split of `cell`, blocks 3 (`g`) and 4 (`o`) of 4 along axis 1 are exchanged",
            "no gradient through h": "the gradient to `h_(t-1)` back through the linear layer of `cell` is cut: zero",
            "no gradient through c": "the gradient to `c_(t-1)` back through the product `f` · `c_(t-1)` is cut: zero",
            "forget gate missing": "the factor `f` is missing",
        },
    ),
)

KINDS = (
    *CELLS,
    layer_of(
        CELLS[0],
        nn.RNN,
        **{
            "W without slope": "",
            "first input at every step": "",
            "bias of the first step only": "only the first along axis 0 counts, not the sum over all",
        },
    ),
    layer_of(CELLS[1], nn.GRU),
    layer_of(CELLS[2], nn.LSTM),
)
