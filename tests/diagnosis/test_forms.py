"""The right numbers in another form are named: shape, order, dtype, another gradient's place."""

import numpy as np
import pytest
import torch

from tests.comparing import LINES, findings_of
from tests.planted import RELU_MLP, changed
from tests.worked_examples import attention, relu_mlp
from torch_ref import Operator, check

pytestmark = pytest.mark.usefixtures("noise_measured_once")


@pytest.mark.parametrize("change", [np.ravel, np.transpose, lambda g: g + 0j], ids=["(h,)", "(1, h)", "complex"])
def test_the_right_numbers_in_another_form_are_named(change):
    (finding,) = findings_of(changed(B1=lambda g, _: change(g)))
    assert (finding.kind, finding.tensors) == ("form", ("B1",))
    assert "dL/dB1: the right numbers, but " in finding.text


def test_single_precision_is_named():
    in_float32 = changed(**dict.fromkeys(LINES, lambda g, _: np.asarray(g, "f").astype(float)))
    (finding,) = findings_of(in_float32)
    assert (finding.kind, finding.name, finding.tensors) == ("precision", "float32", LINES)


def test_whole_numbers_are_not_called_single_precision():
    """They are float32 by nature; here the upstream gradient was forgotten."""
    magnitude = Operator(torch.abs, lambda rng, batch: {"x": rng.standard_normal((batch, 4))})
    (finding,) = check(lambda _, x: (np.abs(x), (np.sign(x),)), reference=magnitude, cases=5).findings
    assert "the factor `upstream` is missing" in finding.text


IN_ANY_NETWORK = {
    "transposed": ({"2.weight": np.transpose}, "form", "transposed, its axes in the order (1, 0)"),
    "flat": ({"2.weight": np.ravel}, "form", "another shape or dtype"),
    "backwards": ({"2.bias": lambda g: g[::-1]}, "form", "backwards along axis 0"),
    "permuted": ({"0.bias": lambda g: g[[1, 2, 0, 3, 4, 5]]}, "form", "its elements are in another order"),
    "float32": ({"2.weight": lambda g: g.astype("f").astype("d")}, "precision", "float32"),
}


@pytest.mark.parametrize(("changes", "kind", "name"), IN_ANY_NETWORK.values(), ids=IN_ANY_NETWORK)
def test_another_form_is_named_in_any_network(changes, kind, name):
    candidate = RELU_MLP.changed(**{tensor: lambda g, _, f=change: f(g) for tensor, change in changes.items()})
    (finding,) = check(candidate, reference=relu_mlp.make_reference(), cases=5).findings
    assert (finding.kind, finding.name, finding.tensors) == (kind, name, tuple(changes))


def test_a_gradient_in_another_ones_place_is_named():
    right = attention.loss_and_grads

    def swapped(*arrays):
        loss, (query, key, value) = right(*arrays)
        return loss, (key, query, value)

    findings = check(swapped, reference=attention.make_reference(), cases=5).findings
    assert [finding.name for finding in findings] == [
        "dL/dquery.weight is dL/dkey.weight",
        "dL/dkey.weight is dL/dquery.weight",
    ]
