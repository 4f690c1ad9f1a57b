"""bfloat16 and float16 with each kind of reference, and on the command line."""

import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.comparing import GRADIENTS
from tests.correct import CORRECT
from tests.planted import Network
from tests.test_coarse import COARSE
from torch_ref import Reference, check
from torch_ref.command.main import main
from torch_ref.precision import PRECISIONS

# Other references.


def network(inputs, targets, W1, b1, W2, b2):
    """Linear, ReLU, Linear, mean squared error; NumPy's float16 or float32 throughout."""
    G1 = inputs @ W1.T + b1  # (batch, 5)
    S1 = np.maximum(G1, 0)  # (batch, 5)
    Y = S1 @ W2.T + b2  # (batch, 2)
    dY = 2 * (Y - targets) / Y.dtype.type(Y.size)  # (batch, 2)
    dG1 = dY @ W2 * (G1 > 0)  # (batch, 5)
    return ((Y - targets) ** 2).mean(), (dG1.T @ inputs, dG1.sum(axis=0), dY.T @ S1, dY.sum(axis=0))


@COARSE
def test_a_network_of_ones_own(dtype):
    def draw_batch(rng, batch):
        return rng.standard_normal((batch, 3)), rng.standard_normal((batch, 2))

    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
    report = check(network, reference=Reference(model, F.mse_loss, draw_batch), dtype=dtype, cases=20)
    assert report.passed, str(report)
    assert model[0].weight.dtype is torch.float32


@pytest.mark.parametrize(
    ("candidate", "dtype"), [(CORRECT[0], "bfloat16"), (CORRECT[3], "bfloat16"), (CORRECT[3], "float16")]
)
def test_two_layers(candidate, dtype):
    report = check(candidate, dtype=dtype, cases=20)
    assert report.passed, str(report)
    halved = check(Network(candidate, GRADIENTS).changed(W1=lambda g, _: g / 2), dtype=dtype, cases=6)
    assert {name for name, tally in halved.ordinary.tallies.items() if tally.failed} == {"W1"}
    assert "1/2 × autograd's" in str(halved)


def test_a_training_step_is_refused_where_it_would_show_no_gradient():
    with pytest.raises(ValueError, match="step: float16 ends at 65504, too soon for a step that shows its gradient"):
        check(network, step=True, dtype="float16")


# On the command line, and whatever else touches a format.

BY_HAND = """
import numpy as np


def by_hand(upstream, x):
    assert x.dtype == np.float32
    return 2 * np.sin(x), (upstream * np.cos(x),)
"""


LAYER = """
import torch
from torch_ref import Operator


def doubled(x):
    return torch.sin(x) * 2


def make():
    return Operator(doubled, lambda rng, batch: {"x": rng.standard_normal((batch, 3))})
"""


def test_the_command_takes_it_and_a_saved_case_comes_back(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "layer.py").write_text(LAYER, encoding="utf-8")
    (tmp_path / "mine.py").write_text(BY_HAND, encoding="utf-8")  # without torch, which would be imported twice more
    words = ["--reference", "layer.py:make", "--dtype", "bfloat16", "--cases", "5"]
    assert main(["layer.py:doubled", *words]) == 0
    assert main(["mine.py:by_hand", *words, "--format", "json", "--save", "case.npz"]) == 1
    (found,) = json.loads(capsys.readouterr().out.partition("PASS\n")[2])["candidates"]
    assert (found["dtype"], found["diagnosed_in"]) == ("bfloat16", "float32")  # float64 breaks its assertion
    assert main(["mine.py:by_hand", "--reference", "layer.py:make", "--case", "case.npz"]) == 1
    assert "1 of 1 differ" in capsys.readouterr().out


def test_the_built_in_candidate_says_what_it_takes(capsys):
    assert main(["--dtype", "float16"]) == 2
    assert "numpy_impl:loss_and_grads takes float32 and float64" in capsys.readouterr().err


@COARSE
def test_buffers_are_rounded_for_the_truth_as_they_are_for_the_candidate(dtype):
    class Scaled(nn.Linear):
        def __init__(self):
            super().__init__(3, 2, bias=False)
            self.register_buffer("scale", torch.tensor([1 + 2.0**-12]))  # 1, in these formats

        def forward(self, x):
            return super().forward(x) * self.scale

    def draw_batch(rng, batch):
        return rng.standard_normal((batch, 3)), rng.standard_normal((batch, 2))

    reference = Reference(Scaled(), F.mse_loss, draw_batch, buffers=True)
    case = reference.cases.draw(4, seed=0, precision=PRECISIONS[dtype])
    assert case.arguments["scale"].tolist() == [1.0]
    right = reference.evaluate(case.judged)
    inputs, targets, weight = (case.judged.arguments[name] for name in ("inputs", "targets", "weight"))
    np.testing.assert_allclose(right["loss"], ((inputs @ weight.T - targets) ** 2).mean(), rtol=1e-12)
