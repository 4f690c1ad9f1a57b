"""Every mistake of the list is rejected and named, and no other."""

from itertools import product

import numpy as np
import pytest

from numpy_impl import forward, loss_and_grads
from tests.comparing import GRADIENTS, MORE_OUTPUTS, ONE_OUTPUT, evidence_of, findings_of
from tests.planted import TWO_LAYERS, changed, with_mistake
from torch_ref import TwoLayers
from torch_ref.diagnosis.diagnosis import diagnose
from torch_ref.two_layers.mistakes import MISTAKES
from torch_ref.two_layers.stages import ACTIVATIONS, Chain

pytestmark = pytest.mark.usefixtures("noise_measured_once")

NETWORKS = {
    "one output": (ONE_OUTPUT, "float32", Chain()),
    "more outputs": (MORE_OUTPUTS, "float64", Chain()),
    "tanh, mse": (MORE_OUTPUTS, "float64", Chain("tanh", "mse", "mean")),
    "relu, half-mse, sum": (MORE_OUTPUTS, "float64", Chain("relu", "half-mse", "sum")),
}


WITHOUT_EFFECT = {  # mistakes that are none: over one output, of the same activation, of a ReLU
    "one output": ("W2 is not transposed", "over the outputs", "hidden activation is sigmoid"),
    "more outputs": ("hidden activation is sigmoid",),
    "tanh, mse": ("hidden activation is tanh",),
    "relu, half-mse, sum": (
        *("hidden activation is relu", "ReLU′ of the hidden layer is applied twice"),
        *("ReLU′ of the hidden layer is computed from G1", "ReLU′ of the hidden layer is taken of S1"),
    ),
}


SAME = {  # what one mistake or loss gives, another gives too
    ("σ′ is missing in the output layer", "half-mse"): Chain(loss="bce", reduction="sum").formula,  # S2 - t
}


OF_THE_HIDDEN_LAYER = [mistake for mistake in MISTAKES if "hidden" in mistake.name or "hidden" in mistake.fix]


@pytest.mark.parametrize(
    ("mistake", "network"),
    [*product(MISTAKES, list(NETWORKS)[:2]), *product(OF_THE_HIDDEN_LAYER, list(NETWORKS)[2:])],
    ids=lambda parameter: getattr(parameter, "name", parameter),
)
def test_every_mistake_is_rejected_and_named_and_no_other(mistake, network):
    shapes, dtype, chain = NETWORKS[network]
    p = mistake.values[0] if mistake.values else 0.125
    evidence = evidence_of(
        with_mistake(mistake, p, chain=chain), TwoLayers(chain.activation, chain.loss, chain.reduction, shapes), dtype
    )
    expected, _ = mistake.texts(ACTIVATIONS[chain.activation], p)
    if not evidence.wrong:
        assert any(text in expected for text in WITHOUT_EFFECT[network])
        return
    if shapes is ONE_OUTPUT and "over the outputs" in mistake.name:
        expected = "∂L/∂B2 is not summed over the batch"  # over the one output, that is the same
    if shapes is ONE_OUTPUT and mistake.name == "∂L/∂B2 is summed over everything":
        expected = "another shape or dtype"  # the sum over the batch is all there is
    expected = SAME.get((expected, chain.loss), expected)
    findings = diagnose(evidence)
    assert [finding.name for finding in findings] == [expected]


@pytest.mark.parametrize("rate", [0.001, 0.1, 3.0])
def test_the_updated_W2_is_named_with_its_learning_rate(rate):
    updated = next(mistake for mistake in MISTAKES if "updated W2" in mistake.name)
    (finding,) = findings_of(with_mistake(updated, rate))
    assert f"(W2 - {rate:g} ∂L/∂W2)" in finding.text
    assert finding.tensors == ("W1", "B1")
    assert "compute every gradient before the first update" in finding.text


@pytest.mark.parametrize("p", [1e-5, 1e-8, 1e-12])
def test_an_epsilon_in_the_logarithms_is_named_with_its_size(p):
    epsilon = next(mistake for mistake in MISTAKES if "logarithms of the loss" in mistake.name)
    (finding,) = findings_of(with_mistake(epsilon, p))
    assert finding.name == f"the logarithms of the loss are of S2 + {p:g}"
    assert finding.tensors == ("loss",)


def test_two_mistakes_in_different_tensors_are_both_named():
    def both(*arrays):
        loss, (dW1, _, dW2, dB2) = loss_and_grads(*arrays)
        _, lacking = with_mistake(next(m for m in MISTAKES if m.name.startswith("∂L/∂B1 lacks")))(*arrays)[:2]
        return loss, (dW1, lacking[1], dW2, -dB2)

    found = findings_of(both)
    assert {finding.name for finding in found} == {"-1", "∂L/∂B1 lacks σ′ of the hidden layer"}


def rearranged(**places):
    """The right gradients, some of them in the place of others: by name, whose stands there."""

    def candidate(*arrays):
        loss, grads = loss_and_grads(*arrays)
        return loss, tuple(getattr(grads, places.get(name, name)) for name in GRADIENTS)

    return candidate


def without_the_last(g, axis):
    """A copy with nothing in its last row or column."""
    kept = np.arange(g.shape[axis]) < g.shape[axis] - 1
    return g * (kept if axis else kept[:, None])


def with_the_slope_of_tanh(inputs, targets, W1, B1, W2, B2):
    """1 - S1² where S1 is σ(G1), in the backward pass of the hidden layer."""
    loss, grads = loss_and_grads(inputs, targets, W1, B1, W2, B2)
    _, S1, _, S2 = forward(inputs, W1, B1, W2, B2)
    dL_dS1 = W2.T @ (S2 - targets.T) / targets.size  # (hidden, batch)
    dL_dG1 = dL_dS1 * (1 - S1**2)  # (hidden, batch)
    return loss, grads._replace(W1=dL_dG1 @ inputs, B1=dL_dG1.sum(1, keepdims=True))


LEFT_TO_OTHERS = {  # they are no mistakes of two layers alone: a detector for any network names them
    "the first sample": (TWO_LAYERS.of_some(slice(1, None)), {"the first sample of the batch is dropped": GRADIENTS}),
    "the last sample": (TWO_LAYERS.of_some(slice(-1)), {"the last sample of the batch is dropped": GRADIENTS}),
    "only the last": (TWO_LAYERS.of_some(slice(-1, None)), {"only the last sample of the batch counts": GRADIENTS}),
    "B1 and W2": (
        rearranged(B1="W2", W2="B1"),
        {"dL/dB1 is dL/dW2": ("B1",), "dL/dW2 is dL/dB1": ("W2",)},
    ),
    "the layers": (
        rearranged(W1="W2", B1="B2", W2="W1", B2="B1"),
        {f"dL/d{p}{i} is dL/d{p}{3 - i}": (f"{p}{i}",) for i in (1, 2) for p in "WB"},
    ),
    "a row": (
        changed(W1=lambda g, _: without_the_last(g, 0)),
        {"of dL/dW1, the last along axis 0 is zero": ("W1",)},
    ),
    "a column": (
        changed(W2=lambda g, _: without_the_last(g, 1)),
        {"of dL/dW2, the last along axis 1 is zero": ("W2",)},
    ),
    "tanh′": (
        with_the_slope_of_tanh,
        {"the derivative of the sigmoid is computed as 1 - y² (y: what comes out)": ("W1", "B1")},
    ),
    "a copy of B2": (rearranged(B1="B2"), {"dL/dB1 is dL/dB2": ("B1",)}),
    "a copy of B1": (rearranged(B2="B1"), {"dL/dB2 is dL/dB1": ("B2",)}),
}


@pytest.mark.parametrize(("shapes", "dtype"), [(ONE_OUTPUT, "float32"), (MORE_OUTPUTS, "float64")])
@pytest.mark.parametrize(("candidate", "expected"), LEFT_TO_OTHERS.values(), ids=LEFT_TO_OTHERS)
def test_what_is_no_mistake_of_two_layers_alone_is_named_too(candidate, expected, shapes, dtype):
    found = findings_of(candidate, shapes=shapes, dtype=dtype)
    assert {finding.name: finding.tensors for finding in found} == expected


@pytest.mark.parametrize(("shapes", "dtype"), [(ONE_OUTPUT, "float32"), (MORE_OUTPUTS, "float64")])
@pytest.mark.parametrize("name", ["W1", "W2"])
def test_a_transposed_gradient_is_named_too(name, shapes, dtype):
    (finding,) = findings_of(changed(**{name: lambda g, _: g.T}), shapes=shapes, dtype=dtype)
    assert (finding.kind, finding.tensors) == ("form", (name,))
    assert "the right numbers, but " in finding.text
    assert "transposed" in finding.text


def pairs(inputs, targets, W1, B1, W2, B2):
    """S2 as (batch, 1) beside targets as (batch,): the mean is over all pairs."""
    S1 = 1 / (1 + np.exp(-(W1 @ inputs.T + B1)))  # (hidden, batch)
    S2 = 1 / (1 + np.exp(-(W2 @ S1 + B2)))  # (1, batch)
    off = S2.T - targets[:, 0]  # (batch, batch)
    dL_dG2 = (2 * off.mean(1) / len(inputs))[None] * S2 * (1 - S2)  # (1, batch)
    dL_dG1 = W2.T @ dL_dG2 * S1 * (1 - S1)  # (hidden, batch)
    grads = dL_dG1 @ inputs, dL_dG1.sum(1, keepdims=True), dL_dG2 @ S1.T, dL_dG2.sum(1, keepdims=True)
    return (off**2).mean(), grads


def test_a_loss_over_all_pairs_is_named():
    (finding,) = diagnose(evidence_of(pairs, TwoLayers(loss="mse", shapes=ONE_OUTPUT), "float64"))
    assert finding.text.startswith("loss, dL/dW1, dL/dB1, dL/dW2, dL/dB2: each prediction is compared with every one")


def test_a_mistake_in_another_loss_is_named_though_what_it_leaves_alone_is_a_factor_off():
    """The gradients are those of ½ Σ (S2 - t)², the loss is the mean, and dL/dS1 is computed with an updated W2."""
    updated = next(mistake for mistake in MISTAKES if "updated W2" in mistake.name)
    of_half = with_mistake(updated, 0.1, chain=Chain("sigmoid", "half-mse", "sum"))
    right = with_mistake(None, chain=Chain("sigmoid", "mse", "mean"))
    reference = TwoLayers(loss="mse", shapes=ONE_OUTPUT)
    findings = diagnose(evidence_of(lambda *arrays: (right(*arrays)[0], of_half(*arrays)[1]), reference, "float64"))
    assert [finding.kind for finding in findings] == ["factor", "mistake"]
    assert "updated W2 (W2 - 0.1 ∂L/∂W2)" in findings[1].text
    assert findings[1].text.endswith("The rest of the chain is that of Σ ½ (S2 - t)².")
