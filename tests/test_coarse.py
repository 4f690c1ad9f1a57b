"""bfloat16 and float16: right code written in several ways is green, planted mistakes are red, and each is told why."""

import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.comparing import GRADIENTS
from tests.correct import CORRECT
from tests.planted import Network
from torch_ref import Operator, Reference, check
from torch_ref.candidate.calling import InProcess
from torch_ref.coarse import replay
from torch_ref.command.main import main
from torch_ref.comparison import compare
from torch_ref.precision import PRECISIONS
from torch_ref.result_rounding import ResultRounding

COARSE = pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
WIDTH = 8


def draw(rng, batch):
    return {"x": rng.standard_normal((batch, WIDTH)), "w": rng.standard_normal(WIDTH)}


RMS = Operator(lambda x, w: F.rms_norm(x, (WIDTH,), w, eps=1e-6), draw)


def in_torch(x, w):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6) * w


class InFloat32(torch.autograd.Function):
    """As a kernel does: float32 inside, rounded once."""

    share = 1.0  # of the term that comes from the scale
    out = staticmethod(lambda tensor, dtype: tensor.to(dtype))

    @classmethod
    def forward(cls, ctx, x, w):
        wide, weight = x.float(), w.float()
        r = torch.rsqrt((wide * wide).mean(-1, keepdim=True) + 1e-6)
        ctx.save_for_backward(wide, weight, r)
        return cls.out(wide * r * weight, x.dtype)

    @classmethod
    def backward(cls, ctx, upstream):
        x, w, r = ctx.saved_tensors
        wide = upstream.float()
        g = wide * w
        dx = r * g - cls.share * x * r**3 * (g * x).mean(-1, keepdim=True)
        return dx.to(upstream.dtype), (wide * x * r).sum(0).to(upstream.dtype)


def forward(x, w):
    r = 1 / np.sqrt((x**2).mean(axis=1, keepdims=True) + x.dtype.type(1e-6))
    return x * r * w, (x, r, w)


def backward(upstream, cache):
    x, r, w = cache
    g = upstream * w
    return r * g - x * r**3 * (g * x).mean(axis=1, keepdims=True), (upstream * x * r).sum(axis=0)


class InALayer(nn.Module):
    def forward(self, x, w):
        return in_torch(x, w)


FORMS = {"operators": in_torch, "float32 inside": InFloat32, "NumPy": (forward, backward), "a module": InALayer()}


@COARSE
@pytest.mark.parametrize("form", FORMS)
def test_right_code_is_green_in_every_form(form, dtype):
    report = check(FORMS[form], reference=RMS, dtype=dtype, cases=12)
    assert report.passed, str(report)
    assert all(tally.vacuous == 0 for tally in report.ordinary.tallies.values())


@COARSE
def test_a_candidate_gets_numbers_of_the_format(dtype):
    precision = PRECISIONS[dtype]
    seen = []

    def numpys(upstream, x, w):
        seen.extend((upstream, x, w))
        return backward_of(upstream, x, w)

    def torchs(x, w):
        seen.extend((x.detach().clone(), w.detach().clone()))
        return in_torch(x, w)

    def backward_of(upstream, x, w):
        out, cache = forward(x, w)
        return out, backward(upstream, cache)

    assert check(numpys, reference=RMS, dtype=dtype, cases=2).passed
    assert {array.dtype.name for array in seen} == {precision.array}
    for array in seen:
        np.testing.assert_array_equal(array, torch.tensor(array).to(getattr(torch, dtype)).to(torch.float32).numpy())
    seen.clear()
    assert check(torchs, reference=RMS, dtype=dtype, cases=2).passed
    assert {tensor.dtype for tensor in seen} == {getattr(torch, dtype)}
    assert any(not tensor.is_contiguous() for tensor in seen)  # the other orders of memory, too


class Weaker(InFloat32):
    share = 0.7


class WithoutACast(InFloat32):
    out = staticmethod(lambda tensor, _: tensor)


class Writing(InFloat32):
    @classmethod
    def backward(cls, ctx, upstream):
        gradients = super().backward(ctx, upstream)
        upstream.mul_(2)
        return gradients


RED = {
    "a term of 70 %": (Weaker, {"x"}, "off by"),
    "another dtype": (WithoutACast, {"out"}, "dtype float32, expected {dtype}"),
    "its argument": (Writing, set(), "wrote to its argument upstream"),
    "a sign": (lambda x, w: -in_torch(x, w), {"out", "x", "w"}, "off by"),
}


@COARSE
@pytest.mark.parametrize("mistake", RED)
@pytest.mark.usefixtures("undiagnosed")
def test_a_planted_mistake_is_red_where_it_is(mistake, dtype):
    candidate, red, text = RED[mistake]
    report = check(candidate, reference=RMS, dtype=dtype, cases=8)
    assert not report.passed
    assert {name for name, tally in report.ordinary.tallies.items() if tally.failed} == red
    assert text.format(dtype=dtype) in str(report)


# What cries wolf if it is not minded: kinks, masks, what torch itself loses, what leaves the range, the model's dtype.


def draw_layer(rng, batch):
    return {"x": rng.standard_normal((batch, WIDTH)), "W": rng.standard_normal((WIDTH, 32))}


def kinked(x, W):
    return torch.relu(x @ W)


def attention(mask):
    def attend(q, k):
        length = q.shape[-2]
        hidden = torch.ones(length, length, dtype=torch.bool).triu(1)
        hidden[2] = True  # from this position nothing is seen
        scores = q @ k.mT / 2
        return mask(scores, hidden).softmax(-1) @ k

    return attend


def with_infinity(scores, hidden):
    return scores.masked_fill(hidden & ~hidden.all(-1, keepdim=True), -torch.inf)


def with_the_least(scores, hidden):
    return scores + torch.zeros_like(scores).masked_fill(hidden, torch.finfo(scores.dtype).min)


def draw_heads(rng, batch):
    return {name: rng.standard_normal((batch, 5, 4)) for name in ("q", "k")}


def draw_tokens(rng, batch):
    return {"tokens": rng.integers(0, 3, (batch, 99)), "W": rng.standard_normal((3, 4))}


WOLVES = {
    "a kink": (kinked, kinked, draw_layer),
    "a mask of -inf": (attention(with_infinity), attention(with_infinity), draw_heads),
    "a mask of finfo.min": (attention(with_the_least), attention(with_the_least), draw_heads),
    "torch sums in the format": (F.embedding, lambda tokens, W: F.embedding(tokens, W, None), draw_tokens),
    "the candidate does not": (F.embedding, lambda t, W: F.one_hot(t, 3).to(W.dtype) @ W, draw_tokens),
}


@COARSE
@pytest.mark.parametrize("wolf", WOLVES)
def test_right_code_is_not_blamed_for_what_the_format_does(wolf, dtype):
    reference, candidate, draw_arguments = WOLVES[wolf]
    report = check(candidate, reference=Operator(reference, draw_arguments), dtype=dtype, cases=20)
    assert report.passed, str(report)


def test_a_kink_that_one_rounding_does_not_reach_is_noise():
    """x a is 1.0034, which bfloat16 rounds to 1 or 1.0078: the ReLU is at 0 two roundings further down, at 0.9961."""

    def near_zero(x, a, c):
        return torch.relu(x * a - c)

    arguments = {"x": np.array([137 / 128]), "a": np.array([120 / 128]), "c": np.array([255 / 256])}
    reference = Operator(near_zero, lambda *_: arguments)
    case = reference.cases.draw(1, seed=0, precision=PRECISIONS["bfloat16"])
    truth = reference.evaluate(case.judged)
    *_, noise = replay(lambda: reference.evaluate(case.judged), truth, case.precision)
    assert noise["x"] >= abs(float(truth["x"][0])) > 0


@COARSE
@pytest.mark.parametrize("mask", [with_infinity, with_the_least])
def test_masks_survive_a_replay(mask, dtype):
    reference = Operator(attention(mask), draw_heads)
    case = reference.cases.draw(3, seed=0, precision=PRECISIONS[dtype])
    truth = reference.evaluate(case.judged)
    *_, noise = replay(lambda: reference.evaluate(case.judged), truth, case.precision)
    for name, array in truth.items():
        assert noise[name] < np.abs(array).max() / 4


def test_what_is_not_a_number_in_a_replay_may_be_anything():
    """Rounding makes a 0 of the difference, and NaN of what is divided by it."""

    def fragile(x):
        return (x - 1) / (x - 1)

    reference = Operator(fragile, lambda _, n: {"x": np.full(n, 1 + 2.0**-7)})
    case = reference.cases.draw(3, seed=0, precision=PRECISIONS["bfloat16"])
    truth = {"out": np.ones(3)}
    calls = iter([{"out": np.ones(3)}, {"out": np.full(3, np.nan)}])
    noises = replay(lambda: next(calls), truth, case.precision)
    assert [next(noises)["out"], next(noises)["out"]] == [0.0, np.inf]


def test_a_result_that_the_format_has_no_number_for_is_its_largest_or_infinite():
    square = Operator(lambda x: x * x, lambda _, n: {"x": np.full(n, 300.0)})  # 90,000 in a format that ends at 65,504
    case = square.cases.draw(2, seed=0, precision=PRECISIONS["float16"])
    for found, passes in ((np.inf, True), (65504.0, True), (60000.0, False), (-np.inf, False)):
        answer = lambda upstream, x, found=found: (np.full_like(x, found), (2 * x * upstream,))  # noqa: E731
        comparison = compare(InProcess(answer, ("out",), {}), case, square.evaluate)
        assert comparison.lines["out"].passed == passes, str(comparison)


def with_an_epsilon(x):
    return x / (x.abs() + torch.finfo(x.dtype).eps)


def by_hand(epsilon):
    def candidate(upstream, x):
        size = np.abs(x.astype(float)) + epsilon
        out, dx = x / size, upstream * epsilon / size**2
        return out.astype(x.dtype), (dx.astype(x.dtype),)

    return candidate


SMALL = Operator(with_an_epsilon, lambda rng, n: {"x": 0.05 * rng.standard_normal((n, 3))})


@COARSE
@pytest.mark.usefixtures("undiagnosed")
def test_a_model_that_depends_on_its_dtype_is_compared_with_autograd_in_it(dtype):
    epsilon = torch.finfo(getattr(torch, dtype)).eps
    for candidate in (with_an_epsilon, by_hand(epsilon)):
        report = check(candidate, reference=SMALL, dtype=dtype, cases=4)
        assert report.passed, str(report)
        assert f"is compared with autograd in {dtype}" in str(report)
    case = SMALL.cases.draw(5, seed=0, precision=PRECISIONS[dtype]).in_own_format()
    for other in (0.0, epsilon / 8):
        wrong = compare(InProcess(by_hand(other), ("out",), {}), case, SMALL.evaluate)
        assert not any(line.passed for line in wrong.lines.values())


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


# Diagnosis.


def test_a_mistake_is_looked_for_in_float64_and_the_report_says_so():
    def doubled(upstream, x, w):
        out, cache = forward(x, w)
        dx, dw = backward(upstream, cache)
        return out, (2 * dx, dw)

    report = check(doubled, reference=RMS, dtype="bfloat16", cases=6)
    assert [finding.name for finding in report.findings] == ["2"]
    assert "as float64 shows it\n  - ∂/∂x: 2 × autograd's" in str(report)


class InTheFormat(InFloat32):
    """With a sum that is kept in the format, of terms that cancel but for a little."""

    @classmethod
    def backward(cls, ctx, upstream):
        dx, dw = super().backward(ctx, upstream)
        shift = torch.full_like(dw, 64)
        return dx, (dw + shift) - shift


def test_what_is_right_in_a_wider_format_is_lost_in_its_own():
    report = check(InTheFormat, reference=RMS, dtype="bfloat16", cases=10)
    assert [finding.name for finding in report.findings] == ["right in float64"]
    assert "the formula is right, and loses its digits to bfloat16" in str(report)


@COARSE
def test_replays_in_the_format_itself_leave_tensors_in_it(dtype):
    case = SMALL.cases.draw(3, seed=0, precision=PRECISIONS[dtype]).in_own_format()
    plain = SMALL.evaluate(case)
    with ResultRounding(case.precision, 0):
        moved = SMALL.evaluate(case)
    for name, array in plain.items():
        assert moved[name].dtype == array.dtype == PRECISIONS[dtype].array
        assert 0 < np.abs(moved[name] - array).max() < np.abs(array).max()


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
