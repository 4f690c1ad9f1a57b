"""Gradient descent in NumPy, alone and in lockstep with torch on the same memory."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck
from torch.nn import functional as F

from numpy_impl import Parameters, loss_and_grads, train, training, xor
from tests.comparing import draw, parameters_of
from torch_ref import TwoLayers
from torch_ref.two_layers.lockstep import descend, lockstep
from torch_ref.two_layers.reference import twin

INPUTS, TARGETS = xor.INPUTS.astype(float), xor.TARGETS.astype(float)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("seed", [220132, 220118])
def test_2000_steps_in_lockstep(seed, reduction):
    run = lockstep(INPUTS, TARGETS, Parameters.from_seed(seed), 0.1, 2000, reduction)
    assert run.passed
    assert max(run.loss, run.parameters) < 1e-12
    assert run.loss + run.parameters > 0  # two computations, not one compared with itself


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_steps_in_torch_are_those_of_its_own_optimizer(dtype):
    case = draw(4, 2, 3, 1, seed=0, dtype=dtype)
    model = twin([array.copy() for array in parameters_of(case).values()])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    inputs, targets = torch.from_numpy(case.arguments["inputs"]), torch.from_numpy(case.arguments["targets"])
    run = descend(
        case.arguments["inputs"], case.arguments["targets"], Parameters(*parameters_of(case).values()), 0.3, 20
    )
    for loss, parameters in run:
        optimizer.zero_grad()
        own = F.binary_cross_entropy(model(inputs), targets)
        assert loss == own.item()
        for array, parameter in zip(parameters, model.parameters(), strict=True):
            np.testing.assert_array_equal(array.reshape(parameter.shape), parameter.detach().numpy())
        own.backward()
        optimizer.step()


def test_lockstep_sees_a_wrong_gradient(monkeypatch):
    def slightly_wrong(*arguments, reduction):
        loss, grads = loss_and_grads(*arguments, reduction=reduction)
        return loss, Parameters(grads.W1 * (1 + 1e-7), *grads[1:])

    monkeypatch.setattr(training, "loss_and_grads", slightly_wrong)
    assert not lockstep(INPUTS, TARGETS, Parameters.from_seed(220132), 0.1, 200, "sum").passed


def test_the_twin_shares_the_memory_of_the_arrays():
    parameters = Parameters(*parameters_of(draw(4, 3, 5, 2, seed=0)).values())
    model = twin(parameters)
    tensors = [model[0].weight, model[0].bias, model[2].weight, model[2].bias]
    for array, tensor in zip(parameters, tensors, strict=True):
        assert np.shares_memory(array, tensor.detach().numpy())
    assert [type(layer).__name__ for layer in model] == ["Linear", "Sigmoid", "Linear", "Sigmoid"]
    assert [tuple(parameter.shape) for parameter in model.parameters()] == [(5, 3), (5,), (2, 5), (2,)]


def test_a_step_in_numpy_is_a_step_of_the_torch_model():
    case = draw(4, 3, 5, 2, seed=0)
    parameters = Parameters(*parameters_of(case).values())
    model = twin(parameters)
    inputs, targets = torch.from_numpy(case.arguments["inputs"]), torch.from_numpy(case.arguments["targets"])
    before = F.binary_cross_entropy(model(inputs), targets).item()
    _, grads = loss_and_grads(case.arguments["inputs"], case.arguments["targets"], *parameters)
    for array, dL_dp in zip(parameters, grads, strict=True):
        np.subtract(array, 0.1 * dL_dp, out=array)
    after = F.binary_cross_entropy(model(inputs), targets).item()
    assert after == pytest.approx(
        float(loss_and_grads(case.arguments["inputs"], case.arguments["targets"], *parameters)[0]), rel=1e-14
    )
    assert after < before


def test_a_read_only_array_cannot_be_shared():
    parameters = Parameters.from_seed(0)
    parameters.W2.flags.writeable = False
    with pytest.raises(ValueError, match="read-only array, expected writeable"):
        twin(parameters)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_reference_itself_passes_gradcheck(reduction):
    case = draw(4, 3, 5, 2, seed=0)
    model = twin(parameters_of(case).values())
    inputs, targets = torch.from_numpy(case.arguments["inputs"]), torch.from_numpy(case.arguments["targets"])

    def loss(*parameters):
        names = [name for name, _ in model.named_parameters()]
        outputs = torch.func.functional_call(model, dict(zip(names, parameters, strict=True)), inputs)
        return TwoLayers(reduction=reduction).loss_function(outputs, targets)

    assert gradcheck(loss, tuple(model.parameters()))


def test_training_is_of_the_mean_unless_told_otherwise():
    start = Parameters.from_seed(220132)
    of_mean, by_default = (list(training.descend(INPUTS, TARGETS, start, 0.1, 3, *r)) for r in (["mean"], []))
    assert [loss for loss, _ in of_mean] == [loss for loss, _ in by_default]


def test_training_changes_no_argument():
    start = Parameters.from_seed(220132)
    before = [array.copy() for array in start]
    train(INPUTS, TARGETS, start, 0.1, 5)
    list(descend(INPUTS, TARGETS, start, 0.1, 5))
    for array, copy in zip(start, before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_no_steps_give_the_start_and_its_loss():
    start = Parameters.from_seed(220132)
    trained, losses = train(INPUTS, TARGETS, start, 0.1, 0)
    assert [losses[0]] == [loss_and_grads(INPUTS, TARGETS, *start)[0]]
    np.testing.assert_array_equal(trained.W1, start.W1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_training_keeps_the_dtype(dtype):
    case = draw(4, 2, 3, 1, seed=0, dtype=dtype)
    trained, losses = train(
        case.arguments["inputs"],
        case.arguments["targets"],
        Parameters(*parameters_of(case).values()),
        np.float64(0.1),
        3,
    )
    assert {array.dtype for array in (*trained, losses)} == {np.dtype(dtype)}


@pytest.mark.parametrize("learning_rate", [0, -0.1, np.nan, np.inf])
def test_a_learning_rate_that_is_none_is_refused(learning_rate):
    with pytest.raises(ValueError, match=f"learning_rate: {learning_rate}, expected a positive finite number"):
        train(INPUTS, TARGETS, Parameters.from_seed(0), learning_rate, 1)


def test_a_negative_number_of_steps_is_refused():
    with pytest.raises(ValueError, match="steps: -1, expected 0 or more"):
        train(INPUTS, TARGETS, Parameters.from_seed(0), 0.1, -1)


def test_a_diverging_run_stops_and_says_so():
    inputs = np.full((1, 1), 1e300)
    start = Parameters(*(np.full((1, 1), value) for value in (0.0, 0.0, 1.0, 0.0)))
    with pytest.raises(FloatingPointError, match=r"diverged after 1 steps at learning_rate 1e\+20.*W1\[0, 0\]: -?inf"):
        train(inputs, np.ones((1, 1)), start, 1e20, 5)


def test_bad_input_is_not_called_divergence():
    with pytest.raises(ValueError, match="expected finite"):
        train(INPUTS * np.nan, TARGETS, Parameters.from_seed(0), 0.1, 5)
