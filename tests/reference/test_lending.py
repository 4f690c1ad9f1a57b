"""What the user owns is as before, and each evaluation starts afresh."""

from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from tests.comparing import parameters_of
from tests.planted import draw_rows
from torch_ref import Reference, check
from torch_ref.rounding import noise


def test_everything_the_user_owns_is_as_before():
    """Parameters, gradients, buffers, modes, torch's random numbers: in float32, though the check was in float64."""

    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x):
            self.calls = self.calls + 1  # another tensor, not another value
            x *= 1  # its argument, in place
            return x

    model = nn.Sequential(Counting(), nn.BatchNorm1d(3), nn.Linear(3, 2))
    model[2].weight.grad = torch.ones(2, 3)
    loss = nn.MSELoss()
    tensors = [*model.parameters(), *model.buffers()]
    before = [(tensor, tensor.data_ptr(), tensor.clone(), tensor.dtype) for tensor in tensors]
    state = torch.get_rng_state()
    report = check(lambda *_: (0.0, [0] * 4), reference=Reference(model, loss, draw_rows, batch=(2, 8)), cases=10)
    assert report.ordinary.failed == 10
    assert [id(tensor) for tensor in tensors] == [id(tensor) for tensor in (*model.parameters(), *model.buffers())]
    for tensor, address, values, dtype in before:
        assert tensor.data_ptr() == address
        assert torch.equal(tensor, values)
        assert tensor.dtype == dtype
    assert torch.equal(model[2].weight.grad, torch.ones(2, 3))
    assert model.training
    assert torch.equal(state, torch.get_rng_state())


def test_an_evaluation_depends_on_nothing_that_another_one_leaves_behind():
    """Batch norm writes to its running statistics, and some models to their inputs: each evaluation starts afresh."""

    class Adding(nn.BatchNorm1d):
        def forward(self, x):
            x += self.running_mean
            return super().forward(x)

    model = nn.Sequential(Adding(3), nn.Linear(3, 2))
    model(torch.randn(8, 3))
    model[0].eval()
    reference = Reference(model, F.mse_loss, draw_rows)
    case = reference.cases.draw(5, seed=0)
    first = reference.evaluate(case)
    noise(partial(reference.evaluate, case), first)
    assert all(np.array_equal(array, first[name]) for name, array in reference.evaluate(case).items())


def test_parameters_are_redrawn_from_the_seed_and_none_is_degenerate():
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.PReLU(), nn.Linear(4, 2))
    nn.init.normal_(model[1].weight)
    reference = Reference(model, F.mse_loss, draw_rows)
    cases = [parameters_of(reference.cases.draw(4, seed=seed)) for seed in range(200)]
    again = parameters_of(reference.cases.draw(4, seed=7))
    for name, array in cases[7].items():
        assert array.tobytes() == again[name].tobytes()
        assert array.shape == model.get_parameter(name).shape
        assert array.tobytes() != cases[8][name].tobytes()
        assert array.size == 1 or (array != array.flat[0]).any()
    # A Linear's own bound is 1 / sqrt(fan in); one case in eight is wider or narrower.
    largest = np.array([np.abs(parameters["0.weight"]).max() * np.sqrt(3) for parameters in cases])
    assert 0.75 < (np.abs(largest - 0.9) < 0.1001).mean() < 0.97
    assert largest.max() > 1.5
    assert largest.min() < 0.6


def test_parameters_without_reset_parameters_are_moved():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.tensor([1.0, 2.0]))

        def forward(self, x):
            return x[:, :2] * self.scale

    reference = Reference(Scaled(), F.mse_loss, draw_rows)
    drawn = [reference.cases.draw(4, seed=seed).arguments["scale"] for seed in range(20)]
    assert len({array.tobytes() for array in drawn}) == 20
