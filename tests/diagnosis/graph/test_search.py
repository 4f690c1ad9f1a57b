"""The search names a mistake of any network by an edit of autograd's own computation, and never a right one."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.worked_examples import attention, layernorm_gelu, rnn
from torch_ref import Operator, Reference, check
from torch_ref.candidate.calling import InProcess
from torch_ref.diagnosis.diagnosis import diagnose
from torch_ref.diagnosis.evidence import gather
from torch_ref.diagnosis.graph import detector
from torch_ref.diagnosis.graph.detector import graph_edits
from torch_ref.diagnosis.graph.replaying import differentiated
from torch_ref.diagnosis.graph.search import Search
from torch_ref.diagnosis.graph.tracing import trace

EXAMPLES = {module.__name__.rpartition(".")[2]: module for module in (rnn, attention, layernorm_gelu)}


@pytest.fixture(autouse=True)
def _on_a_busy_machine_too(monkeypatch):
    """A search to its end, however long it takes there."""
    monkeypatch.setattr(detector, "SECONDS", 100.0)


def evidence_of(candidate, reference):
    case = reference.cases.draw(*reference.cases.telling()[0], seed=0)
    return gather(InProcess(candidate, reference.results, {}), reference, case)


def findings_of(candidate, reference):
    evidence = evidence_of(candidate, reference)
    return list(graph_edits(evidence, evidence.wrong))


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_graph_gives_the_references_own_numbers_and_so_does_its_forward_part_differentiated(name):
    reference = EXAMPLES[name].make_reference()
    case = reference.cases.draw(3, seed=0)
    with reference.lent() as evaluate:
        right = evaluate(case)
        traced = trace(reference, case)
    for made in traced.numbers({}), traced.numbers(differentiated(traced, {})):
        for tensor, array in right.items():
            assert made[tensor].shape == array.shape
            assert np.abs(made[tensor] - array).max() <= 1e-14 * np.abs(array).max(), tensor


def test_the_module_and_its_running_statistics_are_as_they_were():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    reference = Reference(
        model, nn.functional.mse_loss, lambda r, n: (r.random((n, 3)), r.random((n, 4))), batch=(2, 8)
    )
    case = reference.cases.draw(3, seed=0)
    with reference.lent() as evaluate:
        evaluate(case)
        trace(reference, case)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())


TIME, STATE = rnn.TIME, rnn.STATE


def recurrent(mistake):
    """The worked example, with a mistake in it."""

    def candidate(X, T, W, U, bW, bU):
        states = [np.zeros((len(X), STATE))]
        for t in range(TIME):
            states.append(np.tanh(X[:, t] @ W.T + bW + states[-1] @ U.T + bU))
        dW, dU, db = np.zeros_like(W), np.zeros_like(U), np.zeros_like(bW)
        dh = 2 * (states[-1] - T) / T.size
        for t in reversed(range(TIME)):
            dG = dh * (1 if mistake == "slope" else 1 - states[t + 1] ** 2)
            dW += dG.T @ X[:, t]
            dU += dG.T @ states[t + 1 if mistake == "state" else t]
            db = db + dG.sum(0)
            dh = dG @ (U.T if mistake == "transposed" else U)
            if mistake == "one step":
                break
        return ((states[-1] - T) ** 2).mean(), (dW, dU, db, db.copy())

    return candidate


@pytest.mark.parametrize(
    ("mistake", "words", "steps"),
    [
        ("slope", "the derivative of the tanh is missing", "at each of the 4 steps"),
        ("state", "`h_t` is used in place of `h_(t-1)`", "at each of the 4 steps"),
        ("transposed", "`cell.weight_hh` is transposed, and should not be", "at steps 2, 3, 4 of 4"),
        ("one step", "is cut: zero", "at steps 2, 3, 4 of 4: nothing flows back through time"),
    ],
)
def test_a_mistake_of_a_recurrent_network_is_named_with_its_module_line_and_time_steps(mistake, words, steps):
    (finding,) = findings_of(recurrent(mistake), rnn.make_reference())
    assert words in finding.text
    assert f"in `cell` (RNNCell), at `h = self.cell(x, h)`, {steps}" in finding.text
    assert finding.tensors == (("cell.weight_hh",) if mistake == "state" else tuple(finding.tensors))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


JACOBIANS = {
    "only the diagonal of the Jacobian is used": lambda g, P: g * P * (1 - P),
    "the term y · Σ (y · g) is missing": lambda g, P: g * P,
}


@pytest.mark.parametrize("words", JACOBIANS)
def test_a_softmax_by_its_diagonal(words):
    reference = Operator(torch.nn.Softmax(-1), lambda rng, batch: {"x": rng.standard_normal((batch, 4))})
    (finding,) = findings_of(lambda g, x: (softmax(x), (JACOBIANS[words](g, softmax(x)),)), reference)
    assert finding.text.startswith(f"∂/∂x: {words}, in the backward pass of the softmax in Softmax.")


def test_repeated_tokens_that_overwrite_each_other():
    reference = Operator(nn.Embedding(5, 3), lambda rng, batch: {"tokens": rng.integers(0, 5, (batch, 4))})

    def candidate(g, tokens, E):
        dE = np.zeros_like(E)
        dE[tokens] = g
        return E[tokens], (dE,)

    (finding,) = findings_of(candidate, reference)
    assert "where an index is repeated, the last one overwrites the others; add them up" in finding.text


def test_another_epsilon_in_forward_and_backward():

    norm = Operator(nn.LayerNorm(4), lambda rng, batch: {"x": rng.standard_normal((batch, 4))})
    other = nn.LayerNorm(4, eps=1e-3).double()

    def candidate(g, x, w, b):
        x, w, b = (torch.tensor(a, requires_grad=True) for a in (x, w, b))
        out = nn.functional.layer_norm(x, (4,), w, b, other.eps)
        return out.detach(), torch.autograd.grad(out, (x, w, b), torch.tensor(g))

    (finding,) = findings_of(candidate, norm)
    assert finding.tensors == ("out", "x", "weight")
    assert "0.001 stands in place of 1e-05, in the forward pass, in the layer norm in LayerNorm" in finding.text


def right_ones():
    """Right candidates of many layers: autograd's own by another formula, or in another order of sums."""

    def of(function):
        def candidate(g, *arguments):
            tensors = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arguments]
            out = function(*tensors)
            grads = torch.autograd.grad(out, [t for t in tensors if t.requires_grad], torch.tensor(g))
            return out.detach().numpy(), tuple(grad.numpy() for grad in grads)

        return candidate

    def normal(*shape):
        return lambda rng, batch: {"x": rng.standard_normal((batch, *shape))}

    def two(a, b):
        return lambda rng, batch: {"x": rng.standard_normal((batch, *a)), "w": rng.standard_normal(b)}

    return {
        "softmax": (lambda x: torch.softmax(x, -1), lambda x: x.exp() / x.exp().sum(-1, keepdim=True), normal(4)),
        "log-softmax": (
            lambda x: torch.log_softmax(x, -1),
            lambda x: x - x.exp().sum(-1, keepdim=True).log(),
            normal(4),
        ),
        "sigmoid": (torch.sigmoid, lambda x: 1 / (1 + (-x).exp()), normal(3)),
        "tanh": (torch.tanh, lambda x: 2 * torch.sigmoid(2 * x) - 1, normal(3)),
        "silu": (nn.functional.silu, lambda x: x / (1 + (-x).exp()), normal(3)),
        "softplus": (nn.functional.softplus, lambda x: (1 + x.exp()).log(), normal(3)),
        "gelu": (nn.functional.gelu, lambda x: x * (1 + torch.erf(x / 2**0.5)) / 2, normal(3)),
        "elu": (nn.functional.elu, lambda x: torch.where(x > 0, x, x.exp() - 1), normal(3)),
        "leaky": (nn.functional.leaky_relu, lambda x: torch.where(x > 0, x, 0.01 * x), normal(3)),
        "layer norm": (
            lambda x: nn.functional.layer_norm(x, (4,)),
            lambda x: (x - x.mean(-1, keepdim=True)) / (x.var(-1, correction=0, keepdim=True) + 1e-5).sqrt(),
            normal(4),
        ),
        "linear": (lambda x, w: x @ w.T, lambda x, w: (x[:, None] * w).sum(-1), two((4,), (3, 4))),
        "bilinear": (
            lambda x, w: (x @ w * x).sum(-1),
            lambda x, w: torch.einsum("bi,ij,bj->b", x, w, x),
            two((3,), (3, 3)),
        ),
        "convolution": (
            nn.functional.conv1d,
            lambda x, w: torch.einsum("bilk,oik->bol", x.unfold(2, 2, 1), w),
            two((2, 5), (3, 2, 2)),
        ),
        "average pooling": (
            lambda x: nn.functional.avg_pool1d(x, 2),
            lambda x: x.unflatten(2, (2, 2)).mean(-1),
            normal(2, 4),
        ),
        "norm": (lambda x: x.norm(dim=-1), lambda x: (x * x).sum(-1).sqrt(), normal(4)),
        "cumulative sum": (lambda x: x.cumsum(-1), lambda x: x @ torch.ones(4, 4).double().triu(), normal(4)),
        "variance": (lambda x: x.var(-1), lambda x: ((x - x.mean(-1, keepdim=True)) ** 2).sum(-1) / 3, normal(4)),
        "log of sum": (lambda x: x.logsumexp(-1), lambda x: x.exp().sum(-1).log(), normal(4)),
        "outer": (lambda x: x[:, :, None] * x[:, None], lambda x: torch.einsum("bi,bj->bij", x, x), normal(3)),
        "cosine": (
            lambda x, w: nn.functional.cosine_similarity(x, w, dim=-1),
            lambda x, w: (x * w).sum(-1) / ((x * x).sum(-1).sqrt() * (w * w).sum(-1).sqrt()),
            two((4,), (4,)),
        ),
    }, of


RIGHT, OF = right_ones()


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_gets_no_finding_though_the_search_is_told_that_it_is_wrong(name):
    function, other, draw = RIGHT[name]
    reference = Operator(function, draw)
    evidence = evidence_of(OF(other), reference)
    assert not evidence.wrong, str(evidence.first)
    gradients = [*evidence.first.case.differentiated]
    assert [finding for finding in graph_edits(evidence, gradients) if finding.kind == "mistake"] == []


def crooked(grad):
    """Wrong by no formula."""
    return grad + 0.1 * np.sin(7 * np.arange(grad.size).reshape(grad.shape) + 3 * grad)


def test_what_is_wrong_by_no_edit_is_unexplained():
    def candidate(*arguments):
        loss, (dW, *rest) = rnn.loss_and_grads(*arguments)
        return loss, (crooked(dW), *rest)

    (finding,) = diagnose(evidence_of(candidate, rnn.make_reference()))
    assert (finding.kind, finding.name, finding.tensors) == ("chain", "unexplained", ("cell.weight_ih",))


def test_an_edit_that_holds_on_the_cases_of_the_search_alone_is_not_told(monkeypatch):
    """The fourth case decides: here the candidate makes its mistake on three cases and another one on the fourth."""
    seen = []

    def candidate(g, x):
        seen.append(x.tobytes())
        P = softmax(x)
        return P, (g * P if x.tobytes() != unseen else g * P * P,)

    reference = Operator(torch.nn.Softmax(-1), lambda rng, batch: {"x": rng.standard_normal((batch, 4))})
    unseen = None
    evidence = evidence_of(candidate, reference)
    assert list(graph_edits(evidence, ["x"]))
    unseen = detector._unseen(evidence).case.arguments["x"].tobytes()
    assert unseen in seen
    monkeypatch.setattr(detector, "most_wrong_first", lambda _candidate, _reference, cases: cases)
    fixed = next(iter(detector.UNSEEN))
    of = evidence.comparisons[1].case
    unseen = reference.cases.draw(*of.sizes.values(), seed=fixed).arguments["x"].tobytes()
    assert [finding for finding in graph_edits(evidence, ["x"]) if finding.kind == "mistake"] == []


def test_a_graph_that_is_another_one_for_each_batch_is_not_searched_and_that_is_said():
    def loop(x):
        return torch.stack([row.sin() * row for row in x])

    reference = Operator(loop, lambda rng, batch: {"x": rng.standard_normal((batch, 3))})
    finding, *_ = findings_of(lambda g, x: (np.sin(x) * x, (g * np.cos(x) * x,)), reference)
    assert finding.name == "no search"
    assert "its graph is another one for each batch" in finding.text


def test_a_search_that_stops_early_says_so(monkeypatch):
    monkeypatch.setattr(Search, "is_late", lambda self: setattr(self, "stopped", True) or True)
    *_, finding = findings_of(recurrent("slope"), rnn.make_reference())
    assert finding.name == "search stopped"
    monkeypatch.setattr(detector, "SECONDS", -1.0)
    (finding,) = findings_of(recurrent("slope"), rnn.make_reference())
    assert finding.name == "no search"
    assert "to trace it takes more than" in finding.text


def test_a_search_that_fails_is_said_to_have_failed_and_ends_nothing(monkeypatch):
    monkeypatch.setattr(Search, "run", lambda _: 1 / 0)
    (finding,) = findings_of(recurrent("slope"), rnn.make_reference())
    assert (finding.kind, finding.name) == ("chain", "no search")
    assert finding.text.endswith("was not searched for the mistake: it failed (ZeroDivisionError).")


def test_two_mistakes_in_different_tensors_are_both_named():
    def candidate(X, T, Wq, Wk, Wv):
        loss, (dQ, dK, dV) = attention.loss_and_grads(X, T, Wq, Wk, Wv)
        kept = np.zeros_like(dV)
        kept[0] = dV[0]
        return loss, (dQ, np.roll(dK, 1, 0), kept)

    found = findings_of(candidate, attention.make_reference())
    assert {finding.tensors for finding in found} == {("key.weight",), ("value.weight",)}


def test_nothing_to_compare_is_no_wrong_number():
    def candidate(*arguments):
        loss, grads = rnn.loss_and_grads(*arguments)
        return loss, (grads[0][:1], *grads[1:])

    assert findings_of(candidate, rnn.make_reference()) == []


def test_in_float32_too():
    report = check(
        lambda *arguments: _single(recurrent("slope"), arguments),
        reference=rnn.make_reference(),
        cases=3,
        dtype="float32",
    )
    assert any("the derivative of the tanh is missing" in finding.text for finding in report.findings)


def _single(candidate, arguments):
    loss, grads = candidate(*arguments)
    return np.float32(loss), tuple(grad.astype(np.float32) for grad in grads)
