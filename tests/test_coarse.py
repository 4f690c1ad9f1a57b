"""bfloat16 and float16: right code written in several ways is green, planted mistakes are red, and each is told why."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from torch_ref import Operator, check
from torch_ref.precision import PRECISIONS

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
@pytest.mark.usefixtures("verdicts_alone")
def test_a_planted_mistake_is_red_where_it_is(mistake, dtype):
    candidate, red, text = RED[mistake]
    report = check(candidate, reference=RMS, dtype=dtype, cases=8)
    assert not report.passed
    assert {name for name, tally in report.ordinary.tallies.items() if tally.failed} == red
    assert text.format(dtype=dtype) in str(report)


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
