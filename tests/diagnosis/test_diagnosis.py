"""The diagnosis: every mistake is named, and no other; nothing right is accused; what is unknown is narrowed down."""

from itertools import product

import numpy as np
import pytest

from numpy_impl import forward, loss_and_grads, xor
from tests.comparing import case_of, compared, draw
from torch_ref import Shapes, TwoLayers, check
from torch_ref.candidate.calling import InProcess
from torch_ref.diagnosis.diagnosis import diagnose
from torch_ref.diagnosis.evidence import gather
from torch_ref.diagnosis.sizes import only_for
from torch_ref.report.picture import picture
from torch_ref.two_layers.mistake import Mistake
from torch_ref.two_layers.mistakes import MISTAKES
from torch_ref.two_layers.stages import ACTIVATIONS, LOSSES, SUMS, Chain
from torch_ref.two_layers.stages import NAMES as ALL

NAMES = ALL[1:]
ONE_OUTPUT, MORE_OUTPUTS = Shapes(), Shapes(outputs=(2, 3))
NONE = Mistake("", "", {})


def candidate_of(mistake, p=0.0, *, chain=Chain()):  # noqa: B008  # immutable
    """The mistake as someone would hand it in."""

    def candidate(inputs, targets, W1, B1, W2, B2):
        tensors = chain.run(case_of(inputs, targets, W1, B1, W2, B2), mistake.stages, p)
        return tensors["loss"], tuple(tensors[name] for name in NAMES)

    return candidate


def findings_of(candidate, shapes=MORE_OUTPUTS, dtype="float64", **network):
    return diagnose(evidence_of(candidate, TwoLayers(shapes=shapes, **network), dtype))


def evidence_of(candidate, reference, dtype):
    called = InProcess(candidate, reference.results, reference.options)
    evidence = gather(called, reference, draw(2, 1, 1, 1, seed=0, dtype=dtype))
    assert not any(comparison.breach for comparison in evidence.comparisons), str(evidence.first)
    return evidence


def changed(**changes):
    """The right answer, with some of its tensors changed by functions of the tensor and the case's batch and sizes."""

    def candidate(inputs, targets, *parameters):
        loss, grads = loss_and_grads(inputs, targets, *parameters)
        tensors = {"loss": loss, **grads._asdict()}
        for name, change in changes.items():
            tensors[name] = change(tensors[name], len(inputs))
        return tensors["loss"], tuple(tensors[name] for name in NAMES)

    return candidate


NETWORKS = {
    "one output": (ONE_OUTPUT, "float32", Chain()),
    "more outputs": (MORE_OUTPUTS, "float64", Chain()),
    "tanh, mse": (MORE_OUTPUTS, "float64", Chain("tanh", "mse", "mean")),
    "relu, half-mse, sum": (MORE_OUTPUTS, "float64", Chain("relu", "half-mse", "sum")),
}
WITHOUT_EFFECT = {  # mistakes that are none: over one output, of the same activation, of a ReLU
    "one output": (
        *("W2 is not transposed", "over the outputs", "hidden activation is sigmoid", "layer is that of sigmoid"),
    ),
    "more outputs": ("hidden activation is sigmoid", "layer is that of sigmoid"),
    "tanh, mse": ("hidden activation is tanh", "layer is that of tanh"),
    "relu, half-mse, sum": (
        *("hidden activation is relu", "layer is that of relu", "ReLU′ of the hidden layer is applied twice"),
        *("ReLU′ of the hidden layer is computed from G1", "ReLU′ of the hidden layer is taken of S1"),
    ),
}  # fmt: skip  # in groups

SAME = {  # what one mistake or loss gives, another gives too
    ("the derivative of the hidden layer is that of relu", "bce"): "σ′ is missing in the hidden layer",  # S1 > 0
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
    evidence = evidence_of(candidate_of(mistake, p, chain=chain), TwoLayers(shapes=shapes, **vars(chain)), dtype)
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
    (finding,) = findings_of(candidate_of(updated, rate))
    assert f"(W2 - {rate:g} ∂L/∂W2)" in finding.text
    assert finding.tensors == ("W1", "B1")
    assert "compute every gradient before the first update" in finding.text


@pytest.mark.parametrize("p", [1e-5, 1e-8, 1e-12])
def test_an_epsilon_in_the_logarithms_is_named_with_its_size(p):
    epsilon = next(mistake for mistake in MISTAKES if "logarithms of the loss" in mistake.name)
    (finding,) = findings_of(candidate_of(epsilon, p))
    assert finding.name == f"the logarithms of the loss are of S2 + {p:g}"
    assert finding.tensors == ("loss",)


FACTORS = {
    "the sign": (changed(W1=lambda g, _: -g), "-1", ("W1",), "the sign is the wrong way round"),
    "a stray 2": (changed(W2=lambda g, _: 2 * g, B2=lambda g, _: 2 * g), "2", ("W2", "B2"), "a stray factor"),
    "a half": (changed(B1=lambda g, _: g / 2), "1/2", ("B1",), "a stray factor"),
    "zeros": (changed(B1=lambda g, _: 0 * g), "0", ("B1",), "never computed"),
    "no plain number": (changed(B1=lambda g, _: 0.123456789 * g), "0.123457", ("B1",), "a stray factor"),
    "batch": (changed(W1=lambda g, n: n * g), "batch", ("W1",), "not divided by the batch"),
    "1/batch": (changed(B2=lambda g, n: g / n), "1/batch", ("B2",), "averaged over the batch though"),
    "a batch of 4": (changed(**dict.fromkeys(NAMES, lambda g, n: g * n / 4)), "batch/4", NAMES, "batch"),
    "half a batch": (changed(**dict.fromkeys(NAMES, lambda g, n: g * n / 2)), "batch/2", NAMES, "batch"),
    "minus batch/4": (changed(W1=lambda g, n: -n * g / 4), "-batch/4", ("W1",), "the sign is the wrong way round"),
    "the loss in bits": (changed(loss=lambda g, _: g / np.log(2)), "1/ln 2", ("loss",), "a logarithm to another base"),
}


def test_a_factor_near_1_is_not_called_1():
    (finding,) = findings_of(changed(W1=lambda g, _: g * (1 + 1e-11)))
    assert (finding.kind, finding.name, finding.tensors) == ("factor", "1.00000000001", ("W1",))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("candidate", "name", "tensors", "text"), FACTORS.values(), ids=FACTORS)
def test_a_factor_is_recognised(candidate, name, tensors, text, dtype):
    if candidate is FACTORS["no plain number"][0] and dtype == "float32":
        name = "0.123457"
    (finding,) = findings_of(candidate, dtype=dtype)
    assert (finding.kind, finding.tensors) == ("factor", tensors)
    assert finding.name == name or abs(float(finding.name) - 0.123457) < 1e-6
    assert text in finding.text


def sums(*arrays):
    return loss_and_grads(*arrays, reduction="sum")


def test_a_sum_for_a_mean_is_one_finding_with_the_number_of_terms():
    (finding,) = findings_of(lambda *arrays: (loss_and_grads(*arrays)[0], sums(*arrays)[1]))
    assert (finding.kind, finding.name, finding.tensors) == ("factor", "batch out", NAMES)
    assert finding.text.startswith("every gradient: batch out × autograd's (not divided by the number of terms")
    (finding,) = findings_of(sums, shapes=ONE_OUTPUT)
    assert (finding.name, finding.tensors) == ("batch", ALL)
    assert finding.text.startswith("the loss and every gradient: batch × autograd's")


def test_a_mean_for_a_sum():
    (finding,) = findings_of(changed(), reduction="sum")
    assert (finding.name, finding.tensors) == ("1/(batch out)", ALL)
    assert "of the mean, where the loss is a sum" in finding.text


def test_a_hard_coded_batch_size_is_named():
    (finding,) = findings_of(changed(**dict.fromkeys(NAMES, lambda g, n: g * n / 4)), shapes=ONE_OUTPUT)
    assert "divided by 4 where the batch belongs" in finding.text


def test_one_factor_for_all_is_told_apart_from_different_ones():
    mixed = changed(W1=lambda g, n: n * g, W2=lambda g, n: n * g, B1=lambda g, n: g / n, B2=lambda g, n: g / n)
    found = {finding.tensors: finding.name for finding in findings_of(mixed)}
    assert found == {("W1", "W2"): "batch", ("B1", "B2"): "1/batch"}


@pytest.mark.parametrize(
    ("activation", "dtype", "reduction"),
    list(zip(ACTIVATIONS, ["float32", "float64", "float64"], SUMS, strict=True)),
)
@pytest.mark.parametrize(("right", "other"), [(right, other) for right in LOSSES for other in LOSSES if other != right])
def test_the_gradient_of_another_loss_is_named(right, other, reduction, activation, dtype):
    network = {"activation": activation, "loss": right, "reduction": "mean"}
    correct, of_another = (
        candidate_of(NONE, chain=chain) for chain in (Chain(**network), Chain(activation, other, reduction))
    )
    name = Chain(activation, other, reduction).formula
    only_gradients = lambda *arrays: (correct(*arrays)[0], of_another(*arrays)[1])  # noqa: E731
    (finding,) = findings_of(only_gradients, dtype=dtype, **network)
    assert (finding.kind, finding.name, finding.tensors) == ("loss", name, NAMES)
    assert f"exactly that of {name}" in finding.text
    gradients, value = findings_of(of_another, dtype=dtype, **network)
    assert (gradients.tensors, value.tensors) == (NAMES, ("loss",))
    assert value.name == name
    meant = f"If that is meant, say --loss {other} --reduction {reduction}."
    assert value.text.endswith(meant) == (reduction != "batch mean")
    assert ("S2 - t" in gradients.text.removeprefix(f"your gradient is exactly that of {name}.")) == (other == "bce")
    only_value = lambda *arrays: (of_another(*arrays)[0], correct(*arrays)[1])  # noqa: E731
    (value,) = findings_of(only_value, dtype=dtype, **network)
    assert value.text == f"the value of your loss is exactly that of {name}."


def test_a_mistake_on_the_gradient_of_another_loss_is_named_with_the_loss():
    sigma = next(mistake for mistake in MISTAKES if mistake.name == "{f}′ is missing in the hidden layer")
    found = findings_of(candidate_of(sigma, chain=Chain("sigmoid", "half-mse", "sum")))
    assert "σ′ is missing in the hidden layer" in [finding.name for finding in found]
    assert any("Σ ½ (S2 - t)²" in finding.text for finding in found)


def test_two_mistakes_in_different_tensors_are_both_named():
    def both(*arrays):
        loss, (dW1, _, dW2, dB2) = loss_and_grads(*arrays)
        _, unsummed = candidate_of(next(m for m in MISTAKES if m.name.startswith("∂L/∂B1 is not summed")))(*arrays)[:2]
        return loss, (dW1, unsummed[1], dW2, -dB2)

    found = findings_of(both)
    assert {finding.name for finding in found} == {"-1", "∂L/∂B1 is not summed over the batch"}


def without_the_prediction(inputs, targets, W1, B1, W2, B2):
    """∂L/∂G2 = ½ - t: then dL/dB2 does not depend on the inputs, and yet no other data is used."""
    S1 = forward(inputs, W1, B1, W2, B2).S1
    dG2 = (0.5 - targets.T) / targets.size
    dG1 = W2.T @ dG2 * S1 * (1 - S1)
    grads = dG1 @ inputs, dG1.sum(1, keepdims=True), dG2 @ S1.T, dG2.sum(1, keepdims=True)
    return loss_and_grads(inputs, targets, W1, B1, W2, B2)[0], grads


def ripple(grad):
    """1 and smaller numbers."""
    return np.cos(np.arange(grad.size)).reshape(grad.shape)


CHAIN = {
    "after G2": (changed(W1=lambda g, _: g**3, B1=lambda g, _: g**3), ("W1", "B1"), "enters at ∂L/∂S1 or ∂L/∂G1"),
    "W1 alone": (changed(W1=lambda g, _: g**3), ("W1",), "∂L/∂G1 and ∂L/∂G2 are right; the error is in dL/dW1 alone"),
    "W2 alone": (changed(W2=lambda g, _: g**3), ("W2",), "the error is in dL/dW2 alone"),
    "all": (changed(**dict.fromkeys(NAMES, lambda g, _: g**3)), NAMES, "the error enters at ∂L/∂S2 or ∂L/∂G2"),
    "the loss": (changed(loss=lambda g, _: g**3), ("loss",), "only the value of the loss is not"),
    "W2 and the loss": (changed(W2=lambda g, _: g**3, loss=lambda g, _: g**3), ("loss", "W2"), "dL/dW2 alone"),
    "nearly": (changed(W1=lambda g, _: g + 1e-8 * g**2), ("W1",), "nearly right, as finite differences are"),
    "nearly, by so much": (
        changed(**dict.fromkeys(("W1", "B2"), lambda g, _: g + 1e-6 * np.abs(g).max() * ripple(g))),
        ("W1", "B2"),
        "dL/dW1, dL/dB2: off by 1e-06 of its size at most: nearly right",
    ),
    "everything": (changed(**dict.fromkeys(ALL, lambda g, _: g**3)), ALL, "enters in the forward pass"),
    "a prediction that is left out": (without_the_prediction, NAMES, "the error enters at ∂L/∂S2 or ∂L/∂G2"),
}


@pytest.mark.parametrize(("candidate", "tensors", "text"), CHAIN.values(), ids=CHAIN)
def test_what_is_unknown_is_narrowed_down(candidate, tensors, text):
    (finding,) = findings_of(candidate)
    assert (finding.kind, finding.tensors) == ("chain", tensors)
    assert finding.name == ("nearly right" if "nearly" in text else "unexplained")
    assert text in finding.text


ODD = {
    "None": lambda _: None,
    "a word": lambda _: "zero",
    "ragged": lambda _: [[0.0], [0.0, 1.0]],
    "one number": lambda g: g.sum() + 1,
    "empty": lambda g: g[:0] if g.ndim else g.reshape(1)[:0],
    "empty, of rank 2": lambda _: np.zeros((0, 1)),
    "NaN": lambda g: g * np.nan,
    "huge": lambda g: np.full_like(g, 1.7e308),
    "complex": lambda g: g * 1j,
    "integers": lambda g: np.zeros(g.shape, int),
    "objects": lambda g: np.asarray(g, object),
    "rank 5": lambda g: g[..., None, None, None],
    "spread": lambda g: np.broadcast_to(g.sum(), (3, 1)),
}


@pytest.mark.parametrize("names", [("W1",), ("B2",), ("loss",), ALL], ids=" ".join)
@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_whatever_comes_back_is_refused_and_told_about(odd, names):
    report = check(changed(**dict.fromkeys(names, lambda g, _: odd(g))), cases=2)
    wrong = set(names) - ({"loss"} if odd(np.ones(())) is None else set())  # a loss may be None
    assert {name for name, tally in report.ordinary.tallies.items() if tally.failed} == wrong
    assert {name for finding in report.findings for name in finding.tensors} == wrong
    assert ("The smallest case that fails" in str(report)) == bool(wrong)


def test_what_is_nearly_right_in_one_case_and_nan_in_another_is_not_called_nearly_right():
    def nan_from_a_batch_of_4_on(g, batch):
        return np.full_like(g, np.nan) if batch > 3 else g + 1e-6 * np.abs(g).max() * ripple(g)

    (finding,) = findings_of(changed(W1=nan_from_a_batch_of_4_on))
    assert (finding.kind, finding.name, finding.tensors) == ("chain", "unexplained", ("W1",))


def test_single_precision_is_named():
    in_float32 = changed(**dict.fromkeys(ALL, lambda g, _: np.asarray(g, "f").astype(float)))
    (finding,) = findings_of(in_float32)
    assert (finding.kind, finding.name, finding.tensors) == ("precision", "float32", ALL)


def module_data(inputs, targets, W1, B1, W2, B2):
    """Forward on the module's XOR batch, whatever the inputs."""
    S1, S2 = forward(xor.INPUTS, W1, B1, W2, B2)[1::2]
    dG2 = (S2 - xor.TARGETS.T) / len(xor.INPUTS)
    dG1 = W2.T @ dG2 * S1 * (1 - S1)
    grads = dG1 @ xor.INPUTS, dG1.sum(1, keepdims=True), dG2 @ S1.T, dG2.sum(1, keepdims=True)
    return loss_and_grads(inputs, targets, W1, B1, W2, B2)[0], grads


def test_data_of_the_module_is_named():
    (finding,) = findings_of(module_data, shapes=Shapes(inputs=(2, 2)))
    assert (finding.name, finding.tensors) == ("inputs is ignored", NAMES)


@pytest.mark.parametrize(
    ("wrong_if", "name"),
    [
        (lambda x, **_: len(x) != 1, "right only for batch = 1"),
        (lambda x, **_: len(x) == 1, "wrong only for batch = 1"),
        (lambda W1, **_: len(W1) > 1, "right only for hidden = 1"),
        (lambda W2, **_: len(W2) > 1, "right only for out = 1"),
    ],
)
def test_the_size_that_decides_is_named(wrong_if, name):
    def candidate(inputs, targets, W1, B1, W2, B2):
        if wrong_if(x=inputs, W1=W1, W2=W2):
            raise ValueError("shapes do not fit")
        return loss_and_grads(inputs, targets, W1, B1, W2, B2)

    report = check(candidate, cases=60, shapes=Shapes(outputs=(1, 3)))
    assert (name, ALL) in [(finding.name, finding.tensors) for finding in report.findings]


def test_what_no_mistake_explains_may_depend_on_a_size():
    report = check(changed(W1=lambda g, batch: g**3 if batch > 1 else g), cases=60)
    assert [(finding.kind, finding.name) for finding in report.findings] == [
        ("chain", "unexplained"), ("condition", "right only for batch = 1")
    ]  # fmt: skip


@pytest.mark.parametrize("also", [False, True])
def test_no_size_is_said_to_decide_if_the_smallest_case_denies_it(also):
    """No batch of 1 with one input and one hidden unit is among those drawn, but shrinking comes to it."""

    def candidate(inputs, targets, W1, *parameters):
        if len(inputs) > 1 or (also and W1.size == 1):
            raise ValueError("shapes do not fit")
        return loss_and_grads(inputs, targets, W1, *parameters)

    report = check(candidate, cases=40, shapes=Shapes(inputs=(1, 60), hidden=(1, 60)))
    right = [sizes for sizes, passed in report.ordinary.outcomes if passed]
    assert len(right) >= 3
    assert {sizes["batch"] for sizes in right} == {1}
    assert [finding.name for finding in report.findings] == ([] if also else ["right only for batch = 1"])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_nothing_right_is_accused(dtype):
    for shapes in (ONE_OUTPUT, MORE_OUTPUTS):
        assert findings_of(loss_and_grads, shapes=shapes, dtype=dtype) == []
    assert check(loss_and_grads, cases=50, dtype=dtype).findings == []


def test_in_float32_it_says_who_is_nearer_the_float64_result():
    report = check(changed(W1=lambda g, _: g * np.float32(1.001)), cases=10, dtype="float32")
    (line,) = report.nearer
    assert {comparison.case.precision.name for comparison in report.evidence} == {"float32"}
    assert line.startswith("dL/dW1 against float64: yours is off by ")
    yours, autograd = (float(text.split()[-1]) for text in line.replace(", autograd", "").split(" by ")[1:])
    assert yours > 100 * autograd
    assert line in str(report)


def test_a_picture_shows_where_the_tensor_is_wrong():
    def last_row(grad, _):
        grad = grad.copy()
        grad[-1] += 1
        return grad

    comparison = compared(changed(W1=last_row), draw(4, 5, 3, 2, seed=0), TwoLayers())
    assert picture(comparison, "W1") == "dL/dW1\n  .....\n  .....\n  #####"
    assert picture(comparison, "W2") == ""
    large = compared(changed(W1=last_row), draw(4, 100, 40, 1, seed=0), TwoLayers())
    title, *grid = picture(large, "W1").splitlines()
    assert title == "dL/dW1, 3 × 4 elements a cell"
    assert [line.strip() for line in grid] == 13 * ["." * 25] + ["#" * 25]


@pytest.mark.parametrize("change", [np.ravel, np.transpose, lambda g: g + 0j], ids=["(h,)", "(1, h)", "complex"])
def test_the_right_numbers_in_another_form_are_named(change):
    (finding,) = findings_of(changed(B1=lambda g, _: change(g)))
    assert (finding.kind, finding.tensors) == ("form", ("B1",))
    assert "dL/dB1: the right numbers, but " in finding.text


def test_a_loss_for_hard_labels_is_not_said_to_ignore_the_targets():
    def hard(inputs, targets, *parameters):
        S2 = forward(inputs, *parameters).S2.T
        loss = -np.log(np.where(targets == 1, S2, 1 - S2)).mean()
        return loss, loss_and_grads(inputs, targets, *parameters)[1]

    (finding,) = findings_of(hard)
    assert (finding.kind, finding.tensors) == ("chain", ("loss",))


def test_a_breach_is_shown_though_a_smaller_case_fails_without_one():
    def raises_beyond_2(inputs, *rest):
        if len(inputs) > 2:
            raise IndexError("beyond 2")
        loss, grads = loss_and_grads(inputs, *rest)
        return 2 * loss, grads

    text = str(check(raises_beyond_2, cases=30))
    assert "It breaks the contract too, for example\n  raised IndexError: beyond 2 at " in text


def test_a_size_is_not_said_to_decide_on_less_than_three_cases():
    outcomes = [({"batch": batch}, batch != 5) for batch in (1, 2, 3, 5, 5)]
    assert only_for(outcomes, NAMES) == []
    assert only_for(outcomes[:1], NAMES) == []
    (finding,) = only_for([*outcomes, ({"batch": 5}, False)], NAMES)
    assert vars(finding) == {
        "kind": "condition",
        "name": "wrong only for batch = 5",
        "tensors": NAMES,
        "text": "wrong for batch = 5 and for no other batch: is that size built into the code?",
    }
