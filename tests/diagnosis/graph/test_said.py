"""What is said of a mistake is true: of which step, of which line, of which of two factors."""

import numpy as np
import pytest
import torch

from tests.diagnosis.graph.test_search import findings_of
from torch_ref import Operator, Reference, check
from torch_ref.diagnosis.graph.search import Search

STEPS = 4


def recurrence(x, C):
    h = torch.zeros_like(x[:, 0])
    ys = []
    for t in range(STEPS):
        h = x[:, t] * h + x[:, t]
        ys.append((h * C).sum(-1))
    return torch.stack(ys, 1)


def of_recurrence(shift):
    """∂/∂C with the states of another step, `shift` later."""

    def candidate(g, x, C):
        h = [np.zeros_like(x[:, 0])]
        for t in range(STEPS):
            h.append(x[:, t] * h[-1] + x[:, t])
        y = np.stack([(of * C).sum(-1) for of in h[1:]], 1)
        dC, dh, dx = np.zeros_like(C), np.zeros_like(h[0]), np.zeros_like(x)
        for t in reversed(range(STEPS)):
            taken = h[t + 1 + shift] if t + 1 + shift <= STEPS else h[0]
            dC += (g[:, t, None] * taken).sum(0)
            dh = dh + g[:, t, None] * C
            dx[:, t] = dh * (h[t] + 1)
            dh = dh * x[:, t]
        return y, (dx, dC)

    return candidate


def test_a_step_before_is_before_in_the_time_of_the_model_and_the_state_is_named_by_its_text():
    reference = Operator(
        recurrence, lambda r, n: {"x": r.standard_normal((n, STEPS, 3)), "C": r.standard_normal(3)}, batch=(2, 6)
    )
    (finding,) = findings_of(of_recurrence(-1), reference)
    assert finding.text.startswith(
        "∂/∂C: `x[:, t] * h + x[:, t]` of step t - 1 is used in place of that of step t, in the backward pass"
    )


def two_sums(x):
    rows = x - torch.logsumexp(x, -1, keepdim=True)
    both = rows - torch.logsumexp(rows, -2, keepdim=True)
    return both * both


def halves(x):
    length = (x * x).sum(-1, keepdim=True)
    return x * length


def smaller(x, y):
    return 3 * torch.minimum(x * y, x.clamp(-0.5, 0.5) * y)


def of_two_sums(g, x):
    rows = x - np.log(np.exp(x).sum(-1, keepdims=True))
    both = rows - np.log(np.exp(rows).sum(-2, keepdims=True))
    d = 2 * g * both
    d = d - np.exp(both) * d.sum(-2, keepdims=True)
    return both**2, (d - np.exp(both) * d.sum(-1, keepdims=True),)


def of_halves(g, x):
    length = (x * x).sum(-1, keepdims=True)
    return x * length, (g * length + x * (g * x).sum(-1, keepdims=True),)


def of_smaller(g, x, y):
    clipped = x.clip(-0.5, 0.5)
    inner = abs(x) < 0.5
    dy = np.where(inner, g * x, np.where(x * y < clipped * y, 0, g * clipped))
    return 3 * np.minimum(x * y, clipped * y), (3 * np.where(inner, g * y, 0), 3 * dy)


def rows(*names):
    return lambda rng, batch: {name: rng.standard_normal((batch, 3, 4)) for name in names}


@pytest.mark.parametrize(
    ("function", "candidate", "names", "words"),
    [
        (halves, of_halves, "x", "a factor 2 is missing: of `x * x`, one of the two factors alone is differentiated"),
        (
            smaller,
            of_smaller,
            "xy",
            "0 stands in place of the gradient that comes in where `x * y` ≠ `x.clamp(-0.5, 0.5) * y`, in",
        ),
        (
            two_sums,
            of_two_sums,
            "x",
            "exp(`rows` - `torch.logsumexp(rows, -2, keepdim=True)`) is used in place of exp(`x` - ",
        ),
    ],
    ids=["a square", "a minimum", "another line"],
)
def test_of_which_operand_and_under_which_condition(function, candidate, names, words):
    (finding,) = findings_of(candidate, Operator(function, rows(*names), batch=(2, 6)))
    assert words in finding.text


def test_what_was_not_tried_is_not_said_to_be_unknown(monkeypatch):
    monkeypatch.setattr(Search, "is_late", lambda self: setattr(self, "stopped", True) or True)
    reference = Operator(halves, rows("x"), batch=(2, 6))
    texts = [
        of.text
        for of in check(lambda g, x: (x * (x * x).sum(-1, keepdims=True), (g**3,)), reference=reference).findings
    ]
    assert any(text.startswith("Not found: the search stopped after") and "Wrong: ∂/∂x" in text for text in texts)
    assert not any("No mistake known" in text for text in texts)


def test_a_number_that_is_the_batch_is_called_so():
    """Sum where the mean over the samples belongs, inside of a penalty."""

    def penalized(x):
        return (x.mean(0) ** 2).sum() + (x**3).sum() + torch.relu(x).sum()

    def candidate(g, x):
        value = (x.mean(0) ** 2).sum() + (x**3).sum() + x.clip(0).sum()
        return value, (g * (2 * x.mean(0) + 3 * x**2 + (x > 0)),)

    (finding,) = findings_of(candidate, Operator(penalized, lambda rng, batch: {"x": rng.standard_normal((batch, 3))}))
    assert "the division by the batch is missing, in the backward pass of the mean" in finding.text
    assert finding.text.endswith("Expected there: g / batch (g: the gradient that comes in).")


def test_a_formula_that_says_nothing_is_left_out_and_one_of_a_part_is_called_that():
    def cut(g, x):
        return x.swapaxes(1, 2) @ x, (x @ g,)

    squares = Operator(lambda x: x.mT @ x, lambda rng, batch: {"x": rng.standard_normal((batch, 4, 3))})
    (finding,) = findings_of(cut, squares)
    assert "is cut: zero, in the backward pass of the transpose" in finding.text
    assert "gᵀ" not in finding.text

    def of_its_diagonal(g, x):
        S = np.exp(x) / np.exp(x).sum(1, keepdims=True)
        return S, (S * (g - g * S),)

    softmax = Operator(lambda x: torch.softmax(x, 1), lambda rng, batch: {"x": rng.standard_normal((batch, 4))})
    (finding,) = findings_of(of_its_diagonal, softmax)
    assert finding.text.endswith("That part should be Σ (y · g) (g: the gradient that comes in; Σ over axis 1).")


class Last(torch.nn.Module):
    """What comes out of a recurrent layer of torch in the last step."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, inputs):
        return self.layer(inputs)[0][:, -1]


def of_lstm(X, T, W, U, b, c):
    """Two steps of an LSTM, the loss a mean of squares; wrong is that the forget gate takes the new cell."""
    sigma = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    h, cells, kept = np.zeros((len(X), 3)), [np.zeros((len(X), 3))], []
    for t in range(2):
        i, f, g, o = np.split(X[:, t] @ W.T + b + h @ U.T + c, 4, 1)
        i, f, g, o = sigma(i), sigma(f), np.tanh(g), sigma(o)
        cells.append(f * cells[-1] + i * g)
        kept.append((i, f, g, o, h))
        h = o * np.tanh(cells[-1])
    dW, dU, db, dh, dc = np.zeros_like(W), np.zeros_like(U), np.zeros_like(b), 2 * (h - T) / T.size, 0
    for t in (1, 0):
        i, f, g, o, before = kept[t]
        tc = np.tanh(cells[t + 1])
        dc = dc + dh * o * (1 - tc**2)
        df = dc * cells[t + 1]
        d = np.hstack([dc * g * i * (1 - i), df * f * (1 - f), dc * i * (1 - g**2), dh * tc * o * (1 - o)])
        dW, dU, db = dW + d.T @ X[:, t], dU + d.T @ before, db + d.sum(0)
        dh, dc = d @ U, dc * f
    return ((h - T) ** 2).mean(), (dW, dU, db, db.copy())


def test_the_parts_of_torchs_recurrent_layers_have_the_letters_of_its_documentation():
    model = Last(torch.nn.LSTM(2, 3, batch_first=True))
    draw = lambda rng, batch: (rng.standard_normal((batch, 2, 2)), rng.standard_normal((batch, 3)))  # noqa: E731
    (finding,) = findings_of(of_lstm, Reference(model, torch.nn.functional.mse_loss, draw))
    assert "`c_t` is used in place of `c_(t-1)`, in the backward pass of the product `f` · `c_(t-1)`" in finding.text
    assert finding.text.endswith("c: the cell state; f: the forget gate.)")


def test_letters_with_exponents_are_in_the_legend_and_a_path_is_that_to_a_part_of_a_tensor():
    def norms(e):
        a, b, c = e[:, 0], e[:, 1], e[:, 2]
        near = ((a - b) ** 2).sum(1)
        far = torch.tanh(((a - c) ** 2).sum(1))
        return near - far

    def of_norms(g, e):
        a, b, c = e[:, 0], e[:, 1], e[:, 2]
        near, far = ((a - b) ** 2).sum(1), np.tanh(((a - c) ** 2).sum(1))
        to_near, to_far = 2 * g[:, None] * (a - b), -2 * (g * (1 - far**2))[:, None] * (a - c)
        return near - far, (np.stack([to_near, -to_near, -to_far], 1),)

    (finding,) = findings_of(of_norms, Operator(norms, lambda rng, batch: {"e": rng.standard_normal((batch, 3, 4))}))
    assert "the gradient to `e[:, 0]` back through `(a - c) ** 2` is missing" in finding.text

    def passed_on(g, e):
        a, b, c = e[:, 0], e[:, 1], e[:, 2]
        far = np.tanh(((a - c) ** 2).sum(1))
        to_near, to_far = 2 * g[:, None] * (a - b), -2 * g[:, None] * (a - c)
        return ((a - b) ** 2).sum(1) - far, (np.stack([to_near + to_far, -to_near, -to_far], 1),)

    (finding,) = findings_of(passed_on, Operator(norms, lambda rng, batch: {"e": rng.standard_normal((batch, 3, 4))}))
    assert "g · (1 - y²) (g: the gradient that comes in; y: what comes out)" in finding.text


def test_a_0_is_no_size_of_the_case():
    def halved(x):
        return torch.nn.functional.leaky_relu(x, 0.5)

    def candidate(g, x):
        return np.where(x > 0, x, 0.5 * x), (np.where(x > 0, g, 0.25 * g),)

    (finding,) = findings_of(candidate, Operator(halved, lambda rng, batch: {"x": rng.standard_normal((batch, 3))}))
    assert "batch" not in finding.text
    assert "0.25 stands in place of 0.5 where `x` ≤ 0" in finding.text
