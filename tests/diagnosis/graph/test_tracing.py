"""What people write in a model is traced: writes into parts of tensors, numbers that are read out of one."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.diagnosis.graph.test_search import findings_of
from torch_ref import Operator, check
from torch_ref.diagnosis.graph.replaying import replay
from torch_ref.diagnosis.graph.trace import Trace
from torch_ref.diagnosis.graph.tracing import trace


def steps_into_one_tensor(x, W):
    """A recurrent network that writes each state into its place."""
    states, h = torch.zeros_like(x), torch.zeros_like(x[:, 0])
    for t in range(x.shape[1]):
        h = torch.tanh(x[:, t] + h @ W)
        states[:, t] = h
    return states


def read_again(x, W):
    states = torch.zeros_like(x)
    row = states[:, 0]  # taken before it is written
    states[:, 0] = x[:, 0] @ W
    states[:, 1:] = x[:, :-1] * 2
    states.transpose(1, 2)[:, 0] += 1
    return states * row[:, None]


def masked(x, W):
    y = x @ W
    y[y < 0] *= 0.1
    y[..., 0].mul_(3)
    y.diagonal(dim1=1, dim2=2).add_(1)
    y.view(-1)[:2] = 0
    return y.clamp_(max=2)


def numbers_read(x, W):
    if x.shape[1] > int(torch.tensor(2)) and x.detach().abs().max() < 1e6:
        return x @ W / W.detach().norm().item()
    return x


def one_hot(x, W):
    return x @ W * F.one_hot(torch.arange(x.shape[1]) % 3, 3).to(x.dtype)


def turned_in_place(x, W):
    """As torch's own recurrent layers do in the end."""
    return (x @ W).sin_().transpose_(0, 1).tanh()


MODELS = turned_in_place, steps_into_one_tensor, read_again, masked, numbers_read, one_hot


def reference_of(model):
    return Operator(
        model, lambda rng, batch: {"x": rng.standard_normal((batch, 4, 3)), "W": rng.standard_normal((3, 3))}
    )


def traced(model) -> Trace:
    reference = reference_of(model)
    case = reference.cases.draw(2, seed=0)
    with reference.lent() as evaluate:
        right = evaluate(case)
        graph = trace(reference, case)
    made = graph.numbers({})
    assert {name: array.shape for name, array in made.items()} == {name: array.shape for name, array in right.items()}
    for name, array in right.items():
        np.testing.assert_allclose(made[name], array, rtol=1e-13, atol=1e-15)
    return graph


@pytest.mark.parametrize("model", MODELS)
def test_the_graph_gives_the_models_own_numbers_and_no_replay_writes_into_them(model):
    graph = traced(model)
    before = [value.clone() if isinstance(value, torch.Tensor) else value for value in graph.values]
    for i in graph.everything:
        node = graph.nodes[i]
        replay(graph, {i: lambda trace, values, node: trace.call(node, values)}, graph.after([i]))
        replay(graph, {i: lambda trace, values, node: values[trace.position[node]]}, graph.after([i]))  # called once
        assert all(
            np.array_equal(one.detach().numpy(), other.detach().numpy(), equal_nan=True)  # an empty tensor may hold NaN
            for one, other in zip(before, graph.values, strict=True)
            if isinstance(one, torch.Tensor)
        ), str(node)


def by_hand(g, x, W, back):
    """Of `steps_into_one_tensor`, with what stands for Wᵀ in the backward pass."""
    states = [np.zeros_like(x[:, 0])]
    for t in range(x.shape[1]):
        states.append(np.tanh(x[:, t] + states[-1] @ W))
    dx, dW, dh = np.zeros_like(x), np.zeros_like(W), 0
    for t in reversed(range(x.shape[1])):
        dx[:, t] = (dh + g[:, t]) * (1 - states[t + 1] ** 2)
        dW += states[t].T @ dx[:, t]
        dh = dx[:, t] @ back
    return np.stack(states[1:], 1), (dx, dW)


def not_transposed(g, x, W):
    return by_hand(g, x, W, W)


def of_the_last_state_alone(g, x, W):
    return by_hand(g * (np.arange(4) == 3)[:, None], x, W, W.T)


@pytest.mark.parametrize(
    ("candidate", "words"),
    [
        (not_transposed, "`W` is not transposed, in the backward pass of the matrix product, at `h = torch.tanh(x[:, "),
        (
            of_the_last_state_alone,
            (
                "the gradient to all that was written before is missing, in the backward pass of the assignment, at "
                "`states[:, t] = h`, at steps 2, 3, 4 of 4"
            ),
        ),
    ],
)
def test_a_mistake_is_named_where_states_are_written_into_one_tensor(candidate, words):
    (finding,) = findings_of(candidate, reference_of(steps_into_one_tensor))
    assert finding.tensors == ("x", "W")
    assert words in finding.text


def test_a_step_that_is_left_out_is_not_called_another_step():
    """The first state is 0, so that the sum without its last term is also that of gradients of the step before."""

    def without_the_last(g, x, W):
        states, (dx, dW) = by_hand(g, x, W, W.T)
        return states, (dx, dW - states[:, 2].T @ dx[:, 3])

    (finding,) = findings_of(without_the_last, reference_of(steps_into_one_tensor))
    assert "is cut: zero" in finding.text
    assert "at step 4 of 4" in finding.text


def test_no_edit_gives_a_kernel_integers_that_it_would_trust():
    """Torch's mean of embeddings ends the process when there are fewer rows than it is told, or others."""
    reference = Operator(
        lambda i, W: F.embedding_bag(i, W, mode="mean"),
        lambda rng, batch: {"i": rng.integers(0, 4, (batch, 5)), "W": rng.standard_normal((4, 3))},
    )

    def candidate(g, i, W):
        dW = np.zeros_like(W)
        np.add.at(dW, i, np.repeat(g[:, None], 5, axis=1) ** 3)
        return W[i].mean(axis=1), (dW,)

    report = check(candidate, reference=reference, cases=4)
    assert [finding.name for finding in report.findings] == ["unexplained"]


def picked(x, i):
    return x.gather(1, i)


def of_picked(g, x, i):
    dx = np.zeros_like(x)
    np.put_along_axis(dx, i, g, axis=1)
    return np.take_along_axis(x, i, axis=1), (dx,)


def added(x, i):
    return torch.zeros(3, 4, dtype=x.dtype).index_add(0, i[:, 0] % 3, x * x)


def of_added(g, x, i):
    rows, out = i[:, 0] % 3, np.zeros((3, 4))
    out[rows] = x * x
    return out, (g[rows] * 2 * x,)


@pytest.mark.parametrize(("function", "candidate", "name"), [(picked, of_picked, "x"), (added, of_added, "out")])
def test_what_is_overwritten_where_an_index_is_repeated_is_named(function, candidate, name):
    def draw(rng, batch):
        return {"x": rng.standard_normal((batch, 4)), "i": rng.integers(0, 4, (batch, 6))}

    (finding,) = findings_of(candidate, Operator(function, draw, batch=(4, 6)))
    assert finding.tensors == (name,)
    assert "where an index is repeated, the last one overwrites the others" in finding.text
