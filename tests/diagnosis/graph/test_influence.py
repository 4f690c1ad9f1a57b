"""Where a mistake may be is told from the numbers alone: no edit is needed for it."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.diagnosis.graph.test_search import evidence_of, findings_of
from torch_ref import Operator, check
from torch_ref.diagnosis.graph import influence
from torch_ref.diagnosis.graph.influence import Influence
from torch_ref.diagnosis.graph.nodes import is_backward
from torch_ref.diagnosis.graph.tracing import trace


def draw(rng, batch):
    return {name: rng.standard_normal(shape) for name, shape in (("x", (batch, 3)), ("w", (3, 4)), ("v", (4, 5)))}


def network(x, w, v):
    hidden = torch.tanh(x @ w)
    return hidden @ v


NETWORK = Operator(network, draw)


def with_slope(slope):
    """The network by hand; slope: the derivative of the tanh, of its output."""

    def candidate(g, x, w, v):
        S = np.tanh(x @ w)
        dG = g @ v.T * slope(S)
        return S @ v, (dG @ w.T, x.T @ dG, S.T @ g)

    return candidate


def odd(S):
    """No derivative of anything."""
    return np.cos(3 * S)


def traced(candidate):
    evidence = evidence_of(candidate, NETWORK)
    with NETWORK.lent() as evaluate:
        evaluate(evidence.first.case)
        graph = trace(NETWORK, evidence.first.case)
    yours = {name: torch.from_numpy(evidence.first.yours[name]) for name in evidence.first.case.differentiated}
    return graph, Influence(graph, yours, {})


def gradients_of(graph, operator):
    """The gradients in the backward pass of this operator of torch."""
    of = [i for i in sorted(graph.gradients) if is_backward(graph.nodes[i])]
    return [i for i in of if operator in str(graph.nodes[i].meta.get("original_aten"))]


def test_a_gradient_after_the_mistake_may_explain_it_and_one_before_it_may_not():
    graph, influence = traced(with_slope(odd))
    (tanh,) = gradients_of(graph, "tanh_backward")
    (before,) = graph.gradients & {graph.position[node] for node in graph.nodes[tanh].all_input_nodes}
    assert influence.may_explain(frozenset({tanh}))
    assert influence.may_explain(frozenset({before}))  # of the same size: it too can be anything
    lost = [i for i in graph.gradients if graph.reach[i] == {"x", "w", "v"}]
    assert lost  # the upstream gradient, from which the right ∂/∂v comes too
    assert not any(influence.may_explain(frozenset({i})) for i in lost)


def test_the_first_gradient_that_an_edit_changes_must_be_what_the_candidate_has_there():
    graph, influence = traced(with_slope(odd))
    (tanh,) = gradients_of(graph, "tanh_backward")
    gate = influence.gate(frozenset({tanh}))
    values = dict(zip(graph.names, graph.values, strict=False))
    S, g = torch.tanh(values["x"] @ values["w"]), values["upstream"] @ values["v"].T
    assert gate.position == tanh
    assert gate.passes(g * torch.cos(3 * S))
    assert not gate.passes(g * torch.cos(3 * S) * (1 + 1e-4))
    assert not gate.passes(graph.values[tanh])


def test_between_which_operators_an_error_enters_is_said_though_it_is_no_known_mistake():
    found = findings_of(with_slope(odd), Operator(wide, draw_wide))
    (finding,) = [finding for finding in found if finding.name == "where it enters"]
    assert finding.tensors == ()
    assert finding.text == (
        "going back, the error enters in the backward pass of the matrix product, at `return hidden @ v` (in the "
        "gradient to `hidden`), of the tanh, at `hidden = torch.tanh(x @ w)` (in the gradient to `x @ w`), or "
        "between the two."
    )


def wide(x, w, v):
    hidden = torch.tanh(x @ w)
    return hidden @ v


def draw_wide(rng, batch):
    """A batch of a few samples of many features: what comes back through the tanh is fewer numbers than ∂/∂w."""
    return {name: rng.standard_normal(shape) for name, shape in (("x", (batch, 30)), ("w", (30, 4)), ("v", (4, 5)))}


def test_one_wrong_gradient_goes_wrong_in_the_end_if_what_comes_in_there_gives_a_right_one_too():
    candidate = with_slope(lambda S: 1 - S**2)

    def crooked(*arguments):
        out, (dx, dw, dv) = candidate(*arguments)
        return out, (dx, dw + np.cos(np.arange(12).reshape(3, 4)), dv)

    (finding,) = [finding for finding in findings_of(crooked, NETWORK) if finding.name == "where it enters"]
    assert finding.text == (
        "∂/∂w goes wrong in the end, in the backward pass of the matrix product, at `hidden = torch.tanh(x @ w)`: what "
        "comes in there gives ∂/∂x too, which is right."
    )


def test_the_number_of_threads_is_as_it_was():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert not check(with_slope(np.ones_like), reference=NETWORK, cases=3).passed
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def convolution(put):
    """By hand, with a stride of 2 and a kernel of 3; put: how what a window gives comes into the input's gradient."""

    def candidate(g, x, w, b):
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, 3, axis=2)[:, :, ::2]
        dx = np.zeros_like(padded)
        given = np.einsum("bol,oik->bilk", g, w)
        for i in range(given.shape[2]):
            put(dx[:, :, 2 * i : 2 * i + 3], given[:, :, i])
        out = np.einsum("bilk,oik->bol", windows, w) + b[:, None]
        return out, (dx[:, :, 1:-1], np.einsum("bol,bilk->oik", g, windows), g.sum((0, 2)))

    return candidate


def overwrite(place, given):
    place[:] = given


def without_the_last_tap(place, given):
    place[..., :2] += given[..., :2]


@pytest.mark.parametrize(
    ("put", "words"),
    [
        (overwrite, "where windows overlap, the last one overwrites the others; add up what they give"),
        (without_the_last_tap, "of the flipped kernel, the first along axis -1 is zero"),
    ],
)
def test_windows_that_overwrite_each_other_are_told_from_a_tap_that_is_missing(put, words):
    """With an input of even length the last window lies within it, so that its last tap shows."""
    layer = Operator(nn.Conv1d(2, 4, 3, stride=2, padding=1), lambda rng, n: {"x": rng.standard_normal((n, 2, 8))})
    if put is overwrite:  # with an odd length both give the same numbers, and the likelier is said
        layer = Operator(nn.Conv1d(2, 4, 3, stride=2, padding=1), lambda rng, n: {"x": rng.standard_normal((n, 2, 9))})
    (finding,) = findings_of(convolution(put), layer)
    assert words in finding.text


def test_of_large_gradients_nothing_is_measured_and_mistakes_are_found_all_the_same(monkeypatch):
    """64 rows of each of a weight's million elements would take half a gigabyte."""
    mixed = []
    monkeypatch.setattr(influence, "LARGEST", 100)
    monkeypatch.setattr(influence, "_mixing", mixed.append)
    (finding,) = findings_of(with_slope(lambda S: 1 - S), NETWORK)
    assert finding.tensors == ("x", "w")
    assert "the derivative of the tanh is computed as 1 - y" in finding.text
    assert mixed == []
