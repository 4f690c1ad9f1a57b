"""Data that is not used as it should be is named, and right code is not suspected of it."""

import numpy as np
import pytest

from numpy_impl import forward, loss_and_grads
from tests.comparing import GRADIENTS, findings_of
from tests.planted import RELU_MLP, of_module_data
from tests.worked_examples import relu_mlp
from torch_ref import Shapes, check


def test_data_of_the_module_is_named():
    (finding,) = findings_of(of_module_data, shapes=Shapes(inputs=(2, 2)))
    assert (finding.name, finding.tensors) == ("inputs is ignored", GRADIENTS)


def test_a_loss_for_hard_labels_is_not_said_to_ignore_the_targets():
    def hard(inputs, targets, *parameters):
        S2 = forward(inputs, *parameters).S2.T
        loss = -np.log(np.where(targets == 1, S2, 1 - S2)).mean()
        return loss, loss_and_grads(inputs, targets, *parameters)[1]

    (finding,) = findings_of(hard)
    assert (finding.kind, finding.tensors) == ("chain", ("loss",))


def test_data_used_in_place_of_an_argument_is_named():
    data = np.random.default_rng(0)
    x, t = data.standard_normal((50, 4)), data.standard_normal((50, 2))
    right = relu_mlp.loss_and_grads

    def of_the_module(inputs, targets, *parameters):
        return right(inputs, targets, *parameters)[0], right(x, t, *parameters)[1]

    findings = check(of_the_module, reference=relu_mlp.make_reference(), cases=5).findings
    assert [finding.name for finding in findings] == ["inputs is ignored"]
    assert findings[0].text.endswith("dL/d4.bias: the same whatever inputs is; is it used at all?")


FEWER = {
    "first": (RELU_MLP.of_some(slice(1, None)), "the first sample of the batch is dropped"),
    "first, the others' mean": (
        RELU_MLP.of_some(slice(1, None), of_all=False),
        "the first sample of the batch is dropped",
    ),
    "last": (RELU_MLP.of_some(slice(-1)), "the last sample of the batch is dropped"),
    "only last": (RELU_MLP.of_some(slice(-1, None)), "only the last sample of the batch counts"),
}


@pytest.mark.parametrize(("candidate", "name"), FEWER.values(), ids=FEWER)
def test_samples_left_out_are_named(candidate, name):
    (finding,) = check(candidate, reference=relu_mlp.make_reference(), cases=5).findings
    assert (finding.kind, finding.name, finding.tensors) == ("mistake", name, RELU_MLP.names)
