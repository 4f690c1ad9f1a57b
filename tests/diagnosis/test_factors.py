"""A factor is recognized, whatever it is made of, and a constant is never made up."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.comparing import GRADIENTS, ONE_OUTPUT, findings_of
from tests.planted import RELU_MLP, changed, draw_rows
from tests.worked_examples import relu_mlp
from torch_ref import Operator, Reference, check
from torch_ref.diagnosis.factors import Factor

pytestmark = pytest.mark.usefixtures("noise_measured_once")


@pytest.mark.parametrize(("factor", "text"), [(1 + 1e-11, "1.00000000001"), (1 - 1e-12, "0.999999999999")])
def test_a_factor_near_1_is_not_called_1(factor, text):
    (finding,) = findings_of(changed(W1=lambda g, _: g * factor))
    assert (finding.kind, finding.name, finding.tensors) == ("factor", text, ("W1",))


@pytest.mark.parametrize(
    ("constant", "text"), [(1 + 1e-13, "1.0000000000001"), (100 * (1 + 1e-14), "100"), (1 / 3, "1/3"), (1.5, "1.5")]
)
def test_a_factor_is_written_as_a_fraction_only_where_it_is_one(constant, text):
    assert str(Factor(constant, ())) == text


FACTORS = {
    "the sign": (changed(W1=lambda g, _: -g), "-1", ("W1",), "the sign is the wrong way round"),
    "a stray 2": (changed(W2=lambda g, _: 2 * g, B2=lambda g, _: 2 * g), "2", ("W2", "B2"), "a factor 2 too many"),
    "a half": (changed(B1=lambda g, _: g / 2), "1/2", ("B1",), "divided by 2 too often"),
    "zeros": (changed(B1=lambda g, _: 0 * g), "0", ("B1",), "never computed"),
    "no plain number": (changed(B1=lambda g, _: 0.123456789 * g), "0.123457", ("B1",), "divided by 8.1 too often"),
    "batch": (changed(W1=lambda g, a: len(a.inputs) * g), "batch", ("W1",), "not divided by the batch"),
    "1/batch": (changed(B2=lambda g, a: g / len(a.inputs)), "1/batch", ("B2",), "averaged over the batch though"),
    "a batch of 4": (
        changed(**dict.fromkeys(GRADIENTS, lambda g, a: g * len(a.inputs) / 4)),
        "batch/4",
        GRADIENTS,
        "batch",
    ),
    "half a batch": (
        changed(**dict.fromkeys(GRADIENTS, lambda g, a: g * len(a.inputs) / 2)),
        "batch/2",
        GRADIENTS,
        "batch",
    ),
    "minus batch/4": (
        changed(W1=lambda g, a: -len(a.inputs) * g / 4),
        "-batch/4",
        ("W1",),
        "the sign is the wrong way round",
    ),
    "the loss in bits": (changed(loss=lambda g, _: g / np.log(2)), "1/ln 2", ("loss",), "a logarithm to another base"),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("candidate", "name", "tensors", "text"), FACTORS.values(), ids=FACTORS)
def test_a_factor_is_recognized(candidate, name, tensors, text, dtype):
    if candidate is FACTORS["no plain number"][0] and dtype == "float32":
        name = "0.123457"
    (finding,) = findings_of(candidate, dtype=dtype)
    assert (finding.kind, finding.tensors) == ("factor", tensors)
    assert finding.name == name or abs(float(finding.name) - 0.123457) < 1e-6
    assert text in finding.text


def test_a_hard_coded_batch_size_is_named():
    (finding,) = findings_of(changed(**dict.fromkeys(GRADIENTS, lambda g, a: g * len(a.inputs) / 4)), shapes=ONE_OUTPUT)
    assert "divided by 4 where the batch belongs" in finding.text


def test_a_sum_for_a_mean_over_more_than_the_batch_is_no_hard_coded_size():
    def summed(x, t, W, b):
        off = x @ W.T + b - t
        return (off**2).mean(), ((2 * off).T @ x, (2 * off).sum(0))

    reference = Reference(nn.Linear(3, 2), F.mse_loss, draw_rows)
    (finding,) = check(summed, reference=reference, cases=5).findings
    assert (finding.name, finding.tensors) == ("2 batch", ("weight", "bias"))
    assert "not divided by the batch and by 2" in finding.text


def test_one_factor_for_all_is_told_apart_from_different_ones():
    mixed = changed(
        W1=lambda g, a: len(a.inputs) * g,
        W2=lambda g, a: len(a.inputs) * g,
        B1=lambda g, a: g / len(a.inputs),
        B2=lambda g, a: g / len(a.inputs),
    )
    found = {finding.tensors: finding.name for finding in findings_of(mixed)}
    assert found == {("W1", "W2"): "batch", ("B1", "B2"): "1/batch"}


def test_a_parameters_value_is_not_called_a_stray_constant():
    """The gradient divided by a scalar parameter: another factor in each case."""

    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.w, self.scale = nn.Parameter(torch.ones(2, 3)), nn.Parameter(torch.tensor(0.5))

        def forward(self, x):
            return self.scale * (x @ self.w.T)

    def divided(x, t, w, scale):
        y = x @ w.T
        dL_dy = 2 * (scale * y - t) / t.size
        return ((scale * y - t) ** 2).mean(), (dL_dy.T @ x, (dL_dy * y).sum())

    (finding,) = check(divided, reference=Reference(Scaled(), F.mse_loss, draw_rows), cases=10).findings
    assert (finding.kind, finding.tensors) == ("mistake", ("w",))
    assert "the factor `scale` is missing" in finding.text


IN_ANY_NETWORK = {"sign": (-1, ("0.weight",)), "stray 2": (2, ("0.weight", "0.bias"))}


@pytest.mark.parametrize(("factor", "tensors"), IN_ANY_NETWORK.values(), ids=IN_ANY_NETWORK)
def test_a_factor_is_recognized_in_any_network(factor, tensors):
    candidate = RELU_MLP.changed(**dict.fromkeys(tensors, lambda g, _: factor * g))
    (finding,) = check(candidate, reference=relu_mlp.make_reference(), cases=5).findings
    assert (finding.kind, finding.name, finding.tensors) == ("factor", str(factor), tensors)


def test_of_an_operator_nothing_is_said_of_a_loss():
    sine = Operator(torch.sin, lambda rng, batch: {"x": rng.standard_normal(batch)})
    report = check(lambda upstream, x: (np.sin(x), (upstream * np.cos(x) / len(x),)), reference=sine, cases=12)
    (finding,) = report.findings
    assert finding.text == (
        "every gradient: 1/batch × autograd's (divided by the batch; what a mean divides by is in upstream already)."
    )
