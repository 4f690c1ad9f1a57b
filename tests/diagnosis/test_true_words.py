"""What a diagnosis must not say, since it is not true; and what is said once."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from numpy_impl import forward, loss_and_grads
from tests.planted import changed, draw_rows
from torch_ref import Reference, Shapes, UnusableError, check

pytestmark = pytest.mark.usefixtures("noise_measured_once")


def findings_of(candidate, **options):
    return check(candidate, cases=12, **options).findings


def test_a_gradient_that_does_not_depend_on_the_inputs_is_not_said_to_ignore_them():
    """∂L/∂b of the sum of x Wᵀ + b is the number of samples, whatever the inputs are."""

    def candidate(x, t, W, b):
        return (x @ W.T + b).sum() + (t * t).sum(), (np.ones_like(t).T @ x, 0 * b + len(x) ** 2 + 1)

    reference = Reference(nn.Linear(3, 2), lambda y, t: y.sum() + (t * t).sum(), draw_rows)
    found = findings_of(candidate, reference=reference)
    assert found
    assert not any("is ignored" in finding.name for finding in found)


def test_zeros_are_not_said_to_ignore_the_inputs():
    found = findings_of(changed(W1=lambda g, _: g * 0, B1=lambda g, _: g**3))
    assert not any("is ignored" in finding.name for finding in found)


@pytest.mark.parametrize(
    "unusable", [lambda g, _: g * 0, lambda *_: np.zeros((2, 3, 4))], ids=["zeros", "another shape"]
)
def test_what_is_zero_or_of_another_shape_does_not_prove_the_chain(unusable):
    found = findings_of(changed(W1=lambda g, _: g**3 + 1, B1=unusable))
    assert not any("∂L/∂G1 and ∂L/∂G2 are right" in finding.text for finding in found)
    found = findings_of(changed(W1=lambda g, _: g**3 + 1, B1=lambda g, _: g.ravel()))
    assert any("∂L/∂G1 and ∂L/∂G2 are right" in finding.text for finding in found)


def test_not_only_the_loss_is_wrong_where_the_gradient_is_of_another():
    def candidate(x, t, *parameters):
        S1, S2 = forward(x, *parameters)[1::2]
        dG2 = 2 * (S2 - t.T) * S2 * (1 - S2) / t.size
        dG1 = parameters[2].T @ dG2 * S1 * (1 - S1)
        grads = dG1 @ x, dG1.sum(1, keepdims=True), dG2 @ S1.T, dG2.sum(1, keepdims=True)
        return ((S2 - t.T) ** 4).mean(), grads

    text = " ".join(finding.text for finding in findings_of(candidate))
    assert "your gradient is exactly that of" in text
    assert "Only the value of the loss is left to explain" in text


def test_half_a_sum_is_thought_of_before_a_hard_coded_batch_of_2():
    def candidate(*arrays):
        loss, grads = loss_and_grads(*arrays, reduction="sum")
        return loss / 2, tuple(grad / 2 for grad in grads)

    assert "½ Σ where a mean is meant" in " ".join(finding.text for finding in findings_of(candidate))


@pytest.mark.parametrize(
    "change", [lambda g, _: np.sum(g), lambda g, _: g.astype(">f8")], ids=["a number", "big-endian"]
)
def test_with_one_output_a_form_is_not_called_a_sum_over_everything(change):
    (finding,) = findings_of(changed(B2=change))
    assert finding.kind == "form"
    assert "summed over everything" not in finding.text


def test_what_no_case_proves_is_not_called_right():
    """Two gradients: one wrong for no known reason, one that is rounding alone."""
    model = nn.Sequential(nn.Linear(3, 2, bias=True), nn.BatchNorm1d(2, affine=False))

    def candidate(x, t, W, b):
        G = torch.from_numpy(x @ W.T + b).requires_grad_()
        loss = F.mse_loss(F.batch_norm(G, None, None, training=True), torch.from_numpy(t))
        (dG,) = torch.autograd.grad(loss, G)
        dW = dG.numpy().T @ x
        return loss, (dW**3 + 1, 0 * b)

    (finding,) = findings_of(candidate, reference=Reference(model, F.mse_loss, draw_rows, batch=(3, 9)))
    assert finding.name == "unexplained"
    assert finding.text.endswith("right: loss.")


def test_a_weight_of_the_first_sample_for_all_is_not_a_size_that_is_built_in():
    def candidate(x, t, *parameters):
        right, _ = loss_and_grads(x, t, *parameters)
        weights = np.abs(x[:, 0]) + 1
        _, grads = loss_and_grads(x, t, *parameters)
        return right, tuple(grad * weights[0] / weights.mean() for grad in grads)

    for finding in check(candidate, cases=60).findings:
        assert "built into" not in finding.text


def test_a_long_double_is_another_dtype_and_not_another_answer():
    report = check(changed(W1=lambda g, _: g.astype(np.longdouble)), cases=8)
    assert report.ordinary.breaches == 0
    (finding,) = report.findings
    assert finding.kind == "form"
    assert f"dtype {np.dtype(np.longdouble)}, expected float64" in finding.text


def test_equal_factors_are_one_though_their_last_digits_differ():
    third = changed(**{name: lambda g, _: g * 0.123456789 for name in ("W1", "B1")}, W2=lambda g, _: g / 8.10000007371)
    (finding,) = findings_of(third, seed=3)
    assert (finding.kind, finding.tensors) == ("factor", ("W1", "B1", "W2"))


def test_a_root_is_a_plain_number():
    (finding,) = findings_of(changed(W1=lambda g, _: g * np.sqrt(3), B1=lambda g, _: g * np.sqrt(3)))
    assert (finding.name, finding.tensors) == ("√3", ("W1", "B1"))
    (finding,) = findings_of(changed(W1=lambda g, _: g / np.sqrt(2)))
    assert finding.name == "1/√2"


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        (1e-7, 0.0, "one logarithm of the loss is of S2 + 1e-07"),
        (0.0, 1e-7, "one logarithm of the loss is of 1 - S2 + 1e-07"),
        (1e-9, 1e-9, "the logarithms of the loss are of S2 + 1e-09"),
    ],
)
def test_an_epsilon_in_a_logarithm_is_named(first, second, name):
    def candidate(x, t, *parameters):
        S, t_ = forward(x, *parameters).S2, t.T
        loss = (-t_ * np.log(S + first) - (1 - t_) * np.log((1 + second) - S)).mean()
        return loss, loss_and_grads(x, t, *parameters)[1]

    (finding,) = findings_of(candidate)
    assert (finding.name, finding.tensors) == (name, ("loss",))


@pytest.mark.parametrize(
    ("limited", "name"),
    [
        (lambda grads: [grad.clip(-1, 1) for grad in grads], "clipped, each element at ±1"),
        (lambda grads: [grad * min(1, 2 / np.linalg.norm(grad)) for grad in grads], "clipped, its norm at 2"),
        (
            lambda grads: [grad * min(1, 5 / np.sqrt(sum((g**2).sum() for g in grads))) for grad in grads],
            "clipped, the norm of all gradients at 5",
        ),
    ],
)
def test_clipping_is_named(limited, name):
    def candidate(*arrays):
        loss, grads = loss_and_grads(*arrays)
        return loss, limited(grads)

    report = check(candidate)
    assert {finding.name for finding in report.findings} == {name}, str(report)


class Complex(nn.Linear):
    def __init__(self):
        super().__init__(3, 2, dtype=torch.complex64)


class Sparse(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, 2, sparse=True)

    def forward(self, x):
        return self.embedding(x)


UNUSABLE = {
    "ragged": (nn.Linear(3, 2), lambda *_: ([[1.0], [1.0, 2.0]], 0), "draw gives inputs that are no array, but ragged"),
    "a dict": (nn.Linear(3, 2), lambda *_: ({"x": {}}, 0), r"draw gives inputs\[x\] as a dict, expected an array"),
    "None": (nn.Linear(3, 2), lambda *_: (None, 0), "draw gives inputs as a NoneType, expected an array"),
    "sparse": (Sparse(), lambda r, n: (r.integers(0, 5, n), r.random((n, 2))), "embedding.weight is sparse"),
    "complex": (Complex(), draw_rows, "weight is complex64, expected bfloat16 or float16 or float32 or float64$"),
}  # fmt: skip  # one a line


@pytest.mark.parametrize(("model", "batch", "message"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_reference_that_can_not_serve_is_told_why_in_a_line(model, batch, message):
    with pytest.raises(UnusableError, match=message) as caught:
        check(loss_and_grads, reference=Reference(model, F.mse_loss, batch))
    assert "\n" not in str(caught.value)


def test_more_outputs_with_another_reduction_are_a_note():
    def candidate(x, t, *parameters):
        loss, grads = loss_and_grads(x, t, *parameters)
        return loss * t.shape[1], tuple(grad * t.shape[1] for grad in grads)

    report = check(candidate)
    assert report.passed
    assert any("gives out × autograd's loss and gradients in cases with more outputs" in note for note in report.notes)
    report = check(lambda *arrays: (None, candidate(*arrays)[1]), cases=5)  # which reduction is meant, only a loss says
    assert report.passed
    assert any("gives out × autograd's gradients in cases with more outputs" in note for note in report.notes)
    wrong = check(
        lambda x, t, *p: (None, [-g if t.shape[1] > 1 and g.shape[1] == 1 else g for g in loss_and_grads(x, t, *p)[1]]),
        cases=5,
    )
    assert wrong.asides["more outputs"].failed == 3


def test_a_gradient_divided_by_the_batch_alone_is_wrong_for_more_outputs():
    def candidate(x, t, *parameters):
        loss, grads = loss_and_grads(x, t, *parameters)
        return loss, tuple(grad * t.shape[1] for grad in grads)

    report = check(candidate)
    assert not report.passed
    assert report.ordinary.failed == 0
    assert report.asides["more outputs"].failed == 3
    assert "out × autograd's (divided by the batch alone, where the loss is a mean over out too; if it" in str(report)
    assert check(candidate, cases=5, shapes=Shapes(outputs=(1, 1))).passed  # asked for: no more are drawn
    assert check(candidate, shapes=Shapes(outputs=(1, 2))).ordinary.failed > 0


def test_one_output_alone_is_no_mistake():
    def candidate(x, t, W1, B1, W2, B2):
        if t.shape[1] > 1:
            raise ValueError("one output, please")
        return loss_and_grads(x, t, W1, B1, W2, B2)

    report = check(candidate)
    assert report.passed
    assert "more outputs" not in report.asides
