"""An operator is checked against code in every form: what is right passes, what is wrong is told why."""

import pytest
import torch

from tests.reference.rms import DTYPES, FORMS, RMS, Function, Layer, backward, forward, in_one, rms_norm
from torch_ref import assert_matches_autograd, check
from torch_ref.command.saved import load_case, save_case


@DTYPES
@pytest.mark.parametrize("candidate", FORMS.values(), ids=FORMS)
def test_a_right_one_passes_in_every_form(candidate, dtype):
    report = check(candidate, reference=RMS, cases=20, dtype=dtype)
    assert report.passed, str(report)
    assert [tally.worst.label for tally in report.ordinary.tallies.values()] == ["out", "∂/∂x", "∂/∂w"]
    assert report.asides["beyond the range"].cases == 1


class WithoutTheMean(Function):
    @staticmethod
    def backward(ctx, upstream):
        x, w, r = ctx.saved_tensors
        return r * upstream * w, (upstream * x * r).sum(0)


class WithoutAGradient(Function):
    @staticmethod
    def backward(ctx, upstream):
        return Function.backward(ctx, upstream)[0], None


class OfAnotherShape(Function):
    @staticmethod
    def backward(ctx, upstream):
        return Function.backward(ctx, upstream)[0], upstream[0, :2]


class TakesStridesForGranted(Function):
    """As a kernel that reads the upstream gradient's memory as if it were contiguous."""

    @staticmethod
    def backward(ctx, upstream):
        flat = torch.as_strided(upstream, (upstream.numel(),), (1,)).reshape(upstream.shape)
        return Function.backward(ctx, flat)


class WritesToTheUpstream(Function):
    @staticmethod
    def backward(ctx, upstream):
        grads = Function.backward(ctx, upstream)
        upstream.mul_(2)
        return grads


class Detached(Function):
    @staticmethod
    def forward(ctx, x, w):
        out = Function.forward(ctx, x, w)
        ctx.mark_non_differentiable(out)
        return out


class AsksForTheOther(Function):
    @staticmethod
    def backward(ctx, upstream):
        dx, dw = Function.backward(ctx, upstream)
        return (dx if ctx.needs_input_grad[0] else None), (dw if ctx.needs_input_grad[0] else None)


class ListsWhatIsNeeded(Function):
    @staticmethod
    def backward(ctx, upstream):
        both = zip(ctx.needs_input_grad, Function.backward(ctx, upstream), strict=True)
        return tuple(grad for needed, grad in both if needed)


class WritesToWhatItMade(Function):
    """Right unless its backward pass is run again."""

    @staticmethod
    def backward(ctx, upstream):
        grads = Function.backward(ctx, upstream)
        ctx.saved_tensors[2].data.mul_(2)
        return grads


class WritesWhereTorchLooks(Function):
    @staticmethod
    def backward(ctx, upstream):
        grads = Function.backward(ctx, upstream)
        ctx.saved_tensors[2].mul_(2)
        return grads


class WithAnEpsilon(Function):
    @staticmethod
    def forward(ctx, x, w, epsilon):
        return Function.forward(ctx, x + 0 * epsilon, w)


class TakesTwo(Function):
    @staticmethod
    def backward(ctx, first, second):
        return Function.backward(ctx, first + second)


class WritesToWhatItSaved(Function):
    """Right the first time; it scales what it has saved, which is its argument."""

    @staticmethod
    def backward(ctx, upstream):
        grads = Function.backward(ctx, upstream)
        ctx.saved_tensors[0].data.mul_(2)
        return grads


class OfTwo(Layer):
    def __init__(self, width, epsilon):
        self.width, self.epsilon = width, epsilon


class OfSizes(Layer):
    def __init__(self, width, epsilon):
        self.gain = [epsilon] * width


WRONG = {
    "a term is missing": (WithoutTheMean, "∂/∂x"),
    "no gradient": (WithoutAGradient, "∂/∂w: not an array: None"),
    "another shape": (OfAnotherShape, "Function OfAnotherShapeBackward returned an invalid gradient"),
    "strides": (TakesStridesForGranted, "order]"),
    "writes to upstream": (WritesToTheUpstream, "wrote to its argument upstream"),
    "marked": (Detached, "returned out without a gradient, expected a tensor that can be differentiated"),
    "needed": (AsksForTheOther, "right when every gradient is asked for, wrong when ∂/∂w alone is: look at ctx.needs_"),
    "needed, listed": (ListsWhatIsNeeded, "incorrect number of gradients (expected 2, got 1)"),
    "made": (WritesToWhatItMade, "writes in its backward pass to what it has saved"),
    "made, seen": (WritesWhereTorchLooks, "writes in its backward pass to what it has saved"),
    "more arguments": (WithAnEpsilon, "forward takes (ctx, x, w, epsilon), expected (ctx, x, w); or name a function"),
    "more upstream": (TakesTwo, "backward takes (ctx, first, second), expected (ctx, upstream)"),
    "of the class": ((Layer.forward, Layer.backward), "forward takes (self, x, w), expected (x, w); it is a method"),
    "a class": (Layer, "expected (upstream, x, w), or (x, w) of tensors; it is a class: name an object of it"),
    "a class of two": (OfTwo, "returned a OfTwo, expected a tensor that can be differentiated; it is a class: name"),
    "a class of sizes": (OfSizes, "* width; it is a class: name an object of it, or a function that makes one"),
    "forward takes more": ((in_one, backward), "forward takes (upstream, x, w), expected (x, w)"),
    "backward takes more": ((forward, lambda *, u: u), "backward takes (*, u), expected (upstream, cache), or (u"),
    "saved": (WritesToWhatItSaved, "wrote to its argument x, expected its arguments unchanged"),
    "too few": (lambda u, x, w: (forward(x, w)[0], in_one(u, x, w)[1][:1]), "returned a tuple of 1 as the gradients"),
    "no pair": (lambda *a: forward(*a[1:])[0], "returned a ndarray of shape"),
    "wrong arguments": (lambda u: u, "takes (u), expected (upstream, x, w)"),
}  # fmt: skip  # one a line


@pytest.mark.parametrize(("candidate", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_one_is_red_and_told_why(candidate, says):
    report = check(candidate, reference=RMS, cases=12)
    assert not report.passed
    assert says in str(report)


def test_a_saved_case_says_which_gradient_is_asked_for(tmp_path):
    report = check(AsksForTheOther, reference=RMS, cases=5)
    assert report.failure.case.alone == "w"
    assert "float64 ∂/∂w alone asked for]" in str(report)
    save_case(tmp_path / "case.npz", report.failure, report)
    again = load_case(tmp_path / "case.npz", RMS)
    assert (again.alone, again.sizes) == ("w", report.failure.case.sizes)


def test_one_that_lets_go_of_what_it_saved_is_right():
    class LetsGo(Function):
        @staticmethod
        def forward(ctx, x, w):
            ctx.kept = [x, w]
            return rms_norm(x, w)

        @staticmethod
        def backward(ctx, upstream):
            x, w = ctx.kept
            del ctx.kept
            return backward(upstream, (x, w, torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6)))

    assert_matches_autograd(LetsGo, reference=RMS, cases=8)
