"""Other losses and sums are named, and what is unknown is narrowed down along the chain."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from numpy_impl import forward, loss_and_grads, mlp
from tests.comparing import GRADIENTS, LINES, ONE_OUTPUT, compared, draw, findings_of
from tests.correct import with_the_shortcut
from tests.planted import changed, ripple, with_mistake
from torch_ref import TwoLayers, check
from torch_ref.diagnosis.explaining import matched
from torch_ref.rounding import allowed, noise
from torch_ref.two_layers.mistakes import MISTAKES
from torch_ref.two_layers.stages import ACTIVATIONS, LOSSES, SUMS, Chain

pytestmark = pytest.mark.usefixtures("noise_measured_once")


@pytest.mark.parametrize(
    ("activation", "dtype", "reduction"),
    list(zip(ACTIVATIONS, ["float32", "float64", "float64"], SUMS, strict=True)),
)
@pytest.mark.parametrize(("right", "other"), [(right, other) for right in LOSSES for other in LOSSES if other != right])
def test_the_gradient_of_another_loss_is_named(right, other, reduction, activation, dtype):
    network = {"activation": activation, "loss": right, "reduction": "mean"}
    correct, of_another = (
        with_mistake(None, chain=chain) for chain in (Chain(**network), Chain(activation, other, reduction))
    )
    name = Chain(activation, other, reduction).formula
    only_gradients = lambda *arrays: (correct(*arrays)[0], of_another(*arrays)[1])  # noqa: E731
    (finding,) = findings_of(only_gradients, dtype=dtype, **network)
    assert (finding.kind, finding.name, finding.tensors) == ("loss", name, GRADIENTS)
    assert f"exactly that of {name}" in finding.text
    gradients, value = findings_of(of_another, dtype=dtype, **network)
    assert (gradients.tensors, value.tensors) == (GRADIENTS, ("loss",))
    assert value.name == name
    meant = f"If that is meant, say --loss {other} --reduction {reduction}."
    assert value.text.endswith(meant) == (reduction != "batch mean")
    assert ("S2 - t" in gradients.text.removeprefix(f"your gradient is exactly that of {name}.")) == (other == "bce")
    only_value = lambda *arrays: (of_another(*arrays)[0], correct(*arrays)[1])  # noqa: E731
    (value,) = findings_of(only_value, dtype=dtype, **network)
    assert value.text == f"the value of your loss is exactly that of {name}."


def test_another_activation_is_named_with_the_option_for_it():
    (finding,) = findings_of(with_mistake(None, chain=Chain("tanh", "bce", "mean")))
    assert finding.text == (
        "the hidden activation is tanh: S1 = σ(G1), and ∂S1/∂G1 = S1 (1-S1); if that is meant, say --activation tanh."
    )


def test_a_mistake_on_the_gradient_of_another_loss_is_named_with_the_loss():
    sigma = next(mistake for mistake in MISTAKES if mistake.name == "{f}′ is missing in the hidden layer")
    found = findings_of(with_mistake(sigma, chain=Chain("sigmoid", "half-mse", "sum")))
    assert "σ′ is missing in the hidden layer" in [finding.name for finding in found]
    assert any("Σ ½ (S2 - t)²" in finding.text for finding in found)


@pytest.mark.parametrize("only", [(), ("W1",), ("B1", "W2")])
def test_a_mistake_is_named_where_no_loss_comes_and_where_only_some_is_judged(only):
    wrong = with_mistake(next(mistake for mistake in MISTAKES if mistake.name == "{f}′ is missing in the hidden layer"))
    report = check(lambda *arrays: (None, wrong(*arrays)[1]), cases=12, only=only)
    assert [finding.name for finding in report.findings] == ["σ′ is missing in the hidden layer"]


def test_a_loss_that_comes_for_some_batches_only_is_no_evidence():
    wrong = changed(W1=lambda g, _: 2 * g)
    report = check(lambda x, *arrays: (None if len(x) == 5 else 0.0, wrong(x, *arrays)[1]), cases=12)
    assert [(finding.name, finding.tensors) for finding in report.findings] == [("2", ("W1",))]


SATURATED_ONLY = {
    "S2 - t": (with_the_shortcut, "float64", {}, LINES),
    "S2 - t, float32": (with_the_shortcut, "float32", {}, LINES),
    "logarithms kept at -99": (loss_and_grads, "float64", {"LOG_MIN": -99.0}, ("loss",)),
    "logarithms kept at -99, float32": (loss_and_grads, "float32", {"LOG_MIN": -99.0}, ("loss",)),
}


@pytest.mark.parametrize(("candidate", "dtype", "constants", "names"), SATURATED_ONLY.values(), ids=SATURATED_ONLY)
def test_what_is_wrong_in_saturated_cases_alone_is_diagnosed_when_they_count(
    candidate, dtype, constants, names, monkeypatch
):
    for name, value in constants.items():
        monkeypatch.setattr(mlp, name, value)
    report = check(candidate, strict=True, dtype=dtype)
    (finding,) = report.findings
    assert (finding.kind, finding.name, finding.tensors) == ("condition", "only where a sigmoid saturates", names)
    assert "Do the same, or leave --strict out" in finding.text
    assert {comparison.case.saturated for comparison in report.evidence} == {True}


def test_another_smallest_divisor_is_named_as_the_factor_that_it_is(monkeypatch):
    """Torch's is 1e-12 as a float32: 4e-9 off."""
    monkeypatch.setattr(mlp, "EPSILON", 1e-12)
    found = check(loss_and_grads, strict=True).findings
    assert {finding.kind for finding in found} == {"factor"}
    assert {finding.name[:13] for finding in found} == {"0.99999999600"}
    assert {name for finding in found for name in finding.tensors} == set(GRADIENTS)


def test_a_mistake_that_shows_in_saturated_cases_alone_is_named_as_anywhere():
    where_saturated = changed(
        W2=lambda g, a: 2 * g if np.abs(forward(a.inputs, a.W1, a.B1, a.W2, a.B2).G2).max() > 20 else g
    )
    (finding,) = check(where_saturated, strict=True).findings
    assert (finding.kind, finding.name, finding.tensors) == ("factor", "2", ("W2",))


def test_a_formula_that_is_infinite_explains_nothing():
    """Every number is near that; a bias that is left out may make the loss of a saturated case infinite."""
    comparison = compared(loss_and_grads, draw(3, 3, 4, 1, seed=1), TwoLayers())
    for value in np.inf, np.nan:
        assert matched([comparison], lambda _, made=value: {"loss": np.array(made)}, {"loss"}, measure=False) == set()


@pytest.mark.parametrize(("share", "explained"), [(0.9, {"W1"}), (1.1, set()), (1e6, set())])
def test_an_explanation_is_replayed_until_its_noise_is_known(share, explained):
    """Neither given up after the first replay, nor taken for what is further off than all replays allow."""
    case, make = draw(5, 3, 4, 2, seed=0), partial(Chain().run, changes={})
    made = make(case)
    limit = allowed(case.precision, np.abs(made["W1"]).max(), noise(partial(make, case), made)["W1"], case.terms)
    off = made["W1"].copy()
    off.flat[0] += share * limit
    comparison = replace(compared(loss_and_grads, case, TwoLayers()), yours=made | {"W1": off})
    assert matched([comparison], make, {"W1"}) == explained


def sums(*arrays):
    return loss_and_grads(*arrays, reduction="sum")


def test_a_sum_for_a_mean_is_one_finding_with_the_number_of_terms():
    (finding,) = findings_of(lambda *arrays: (loss_and_grads(*arrays)[0], sums(*arrays)[1]))
    assert (finding.kind, finding.name, finding.tensors) == ("factor", "batch out", GRADIENTS)
    assert finding.text.startswith("every gradient: batch out × autograd's (not divided by the number of terms")
    (finding,) = findings_of(sums, shapes=ONE_OUTPUT)
    assert (finding.name, finding.tensors) == ("batch", LINES)
    assert finding.text.startswith("the loss and every gradient: batch × autograd's")


def test_a_mean_for_a_sum():
    (finding,) = findings_of(changed(), reduction="sum")
    assert (finding.name, finding.tensors) == ("1/(batch out)", LINES)
    assert "of the mean, where the loss is a sum" in finding.text


def without_the_prediction(inputs, targets, W1, B1, W2, B2):
    """∂L/∂G2 = ½ - t: then dL/dB2 does not depend on the inputs, and yet no other data is used."""
    S1 = forward(inputs, W1, B1, W2, B2).S1
    dG2 = (0.5 - targets.T) / targets.size
    dG1 = W2.T @ dG2 * S1 * (1 - S1)
    grads = dG1 @ inputs, dG1.sum(1, keepdims=True), dG2 @ S1.T, dG2.sum(1, keepdims=True)
    return loss_and_grads(inputs, targets, W1, B1, W2, B2)[0], grads


CHAIN = {
    "after G2": (changed(W1=lambda g, _: g**3, B1=lambda g, _: g**3), ("W1", "B1"), "enters at ∂L/∂S1 or ∂L/∂G1"),
    "W1 alone": (changed(W1=lambda g, _: g**3), ("W1",), "∂L/∂G1 and ∂L/∂G2 are right; the error is in dL/dW1 alone"),
    "W2 alone": (changed(W2=lambda g, _: g**3), ("W2",), "the error is in dL/dW2 alone"),
    "all": (changed(**dict.fromkeys(GRADIENTS, lambda g, _: g**3)), GRADIENTS, "the error enters at ∂L/∂S2 or ∂L/∂G2"),
    "the loss": (changed(loss=lambda g, _: g**3), ("loss",), "only the value of the loss is not"),
    "W2 and the loss": (changed(W2=lambda g, _: g**3, loss=lambda g, _: g**3), ("loss", "W2"), "dL/dW2 alone"),
    "nearly": (changed(W1=lambda g, _: g + 1e-8 * g**2), ("W1",), "nearly right, as finite differences are"),
    "nearly, by so much": (
        changed(**dict.fromkeys(("W1", "B2"), lambda g, _: g + 1e-6 * np.abs(g).max() * ripple(g))),
        ("W1", "B2"),
        "dL/dW1, dL/dB2: off by 1e-06 of its size at most: nearly right",
    ),
    "everything": (changed(**dict.fromkeys(LINES, lambda g, _: g**3)), LINES, "enters in the forward pass"),
}


def test_a_prediction_that_is_left_out_is_named():
    (finding,) = findings_of(without_the_prediction)
    assert (finding.kind, finding.tensors) == ("mistake", GRADIENTS)
    assert "the linear layer of `2` is taken to be 0" in finding.text


COMPOSED = {
    "σ′ of what is activated, at both layers": ("σ′(y)", GRADIENTS),
    "1 - 2^S": ("is computed as 1 - 2ʸ", ("W1", "B1")),
    "a sign in the output's sigmoid": ("the sign of the linear layer of `2` is the wrong way round", LINES),
}


def composed(mistake):
    """Mistakes that are two, or are in no list."""
    sigma, slope = lambda z: 1 / (1 + np.exp(-z)), lambda S: S * (1 - S)

    def candidate(x, t, W1, B1, W2, B2):
        S1 = sigma(W1 @ x.T + B1)
        S2 = sigma((W2 @ S1 + B2) * (-1 if mistake.startswith("a sign") else 1))
        dG2, slope_1 = (S2 - t.T) / t.size * (-1 if mistake.startswith("a sign") else 1), slope(S1)
        if mistake.startswith("σ′"):
            dG2, slope_1 = dG2 / slope(S2) * slope(sigma(S2)), slope(sigma(S1))
        dG1 = W2.T @ dG2 * (1 - 2**S1 if mistake == "1 - 2^S" else slope_1)
        loss = (-t.T * np.log(S2) - (1 - t.T) * np.log(1 - S2)).mean()
        return loss, (dG1 @ x, dG1.sum(1, keepdims=True), dG2 @ S1.T, dG2.sum(1, keepdims=True))

    return candidate


@pytest.mark.parametrize("mistake", COMPOSED)
def test_what_no_list_has_is_named_by_the_search(mistake):
    text, tensors = COMPOSED[mistake]
    (finding,) = findings_of(composed(mistake))
    assert finding.tensors == tensors
    assert text in finding.text


@pytest.mark.parametrize(("candidate", "tensors", "text"), CHAIN.values(), ids=CHAIN)
def test_what_is_unknown_is_narrowed_down(candidate, tensors, text):
    (finding,) = findings_of(candidate)
    assert (finding.kind, finding.tensors) == ("chain", tensors)
    assert finding.name == ("nearly right" if "nearly" in text else "unexplained")
    assert text in finding.text
