"""Operators: right ones in every form pass, wrong ones are red where they are, and what can't serve is told why."""

import numpy as np
import pytest
import torch
from torch import nn

from torch_ref import Operator, UnusableError, assert_matches_autograd, check
from torch_ref.command.saved import load_case, save_case

DTYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])


def drawn(**shapes):
    """A draw of standard normal arrays; None in a shape stands for the batch."""

    def draw(rng, batch):
        return {n: rng.standard_normal([batch if s is None else s for s in shape]) for n, shape in shapes.items()}

    return draw


def rms_norm(x, w):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6) * w


RMS = Operator(rms_norm, drawn(x=(None, 6), w=(6,)))


def forward(x, w):
    r = 1 / np.sqrt((x * x).mean(-1, keepdims=True) + x.dtype.type(1e-6))  # (batch, 1)
    return x * r * w, (x, w, r)


def backward(upstream, cache):
    x, w, r = cache
    n, dn = x * r, upstream * w  # (batch, 6)
    return r * (dn - n * (dn * n).mean(-1, keepdims=True)), (upstream * n).sum(0)


def in_one(upstream, x, w):
    out, cache = forward(x, w)
    return out, backward(upstream, cache)


def backward_again(upstream, x, w):
    return backward(upstream, forward(x, w)[1])


class Function(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w):
        r = torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6)
        ctx.save_for_backward(x, w, r)
        return x * r * w

    @staticmethod
    def backward(ctx, upstream):
        x, w, r = ctx.saved_tensors
        n, dn = x * r, upstream * w
        return r * (dn - n * (dn * n).mean(-1, keepdim=True)), (upstream * n).sum(0)


class OnlyWhatIsNeeded(Function):
    """Computes what is asked for, as the tutorials have it; forward has no ctx."""

    @staticmethod
    def forward(x, w):
        return rms_norm(x, w)

    @staticmethod
    def setup_context(ctx, inputs, output):  # noqa: ARG004  # as torch has it
        x, w = inputs
        ctx.save_for_backward(x, w, torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6))

    @staticmethod
    def backward(ctx, upstream):
        both = zip(ctx.needs_input_grad, Function.backward(ctx, upstream), strict=True)
        return tuple(grad if needed else None for needed, grad in both)


class Layer:
    """Keeps what its backward pass needs."""

    def forward(self, x, w):
        out, self.cache = forward(x, w)
        return out

    def backward(self, upstream):
        return backward(upstream, self.cache)


class Static:
    forward, backward = staticmethod(forward), staticmethod(backward)


LAYER = Layer()


def of_tensors(x, w, power=2):
    return OnlyWhatIsNeeded.apply(x, w) ** (power / 2)


FORMS = {
    "its apply": Function.apply,
    "one function": in_one,
    "by name": lambda u, x, w: (forward(x, w)[0], dict(zip(("dx", "grad_w"), in_one(u, x, w)[1], strict=True))),
    "forward and backward": (forward, backward),
    "backward of the arguments": (lambda x, w: forward(x, w)[0], backward_again),
    "a function of tensors": rms_norm,
    "an autograd.Function": Function,
    "one that gives only what is needed": OnlyWhatIsNeeded,
    "a function of tensors with a default": of_tensors,
    "an object": Layer(),
    "its methods": (LAYER.forward, LAYER.backward),
    "a class of static methods": Static,
}


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


def test_several_outputs_have_an_upstream_each_and_integers_have_none():
    operator = Operator(lambda x: torch.topk(x, 2, dim=1), drawn(x=(None, 5)))

    def candidate(upstream, x):
        rows = np.argsort(-x, axis=1)[:, :2]
        dx = np.zeros_like(x)
        np.put_along_axis(dx, rows, upstream, 1)
        return (np.take_along_axis(x, rows, 1), rows), dx  # of one argument: no tuple is needed

    report = check(candidate, reference=operator, cases=8)
    assert report.passed, str(report)
    assert report.ordinary.results == ("out[0]", "out[1]")

    def backwards(upstream, x):
        outs, dx = candidate(upstream, x)
        return outs, dx[:, ::-1]

    assert "backwards along axis 1" in str(check(backwards, reference=operator, cases=5))

    two = Operator(lambda x, y: (x * y, x + y), drawn(x=(None, 3), y=(3,)))

    def of_two(upstream, x, y):
        first, second = upstream
        return (x * y, x + y), (first * y + second, (first * x + second).sum(0))

    assert_matches_autograd(of_two, reference=two, cases=12)
    wrong = check(lambda u, x, y: (of_two(u, x, y)[0], of_two((u[0], 0 * u[1]), x, y)[1]), reference=two, cases=5)
    assert {name for name, tally in wrong.ordinary.tallies.items() if tally.failed} == {"x", "y"}


def test_integers_are_passed_and_constants_have_no_gradient():
    def draw(rng, batch):
        return {
            "table": rng.standard_normal((7, 3)),
            "tokens": rng.integers(0, 7, batch),
            "mask": rng.integers(0, 2, (batch, 3)).astype(float),
        }

    operator = Operator(lambda table, tokens, mask: table[tokens] * mask, draw, constant=("mask",))

    def candidate(upstream, table, tokens, mask):
        dtable = np.zeros_like(table)
        np.add.at(dtable, tokens, upstream * mask)
        return table[tokens] * mask, (dtable, None, None)  # as torch has it; (dtable,) will do

    assert_matches_autograd(candidate, reference=operator, cases=20)

    def overwrites(upstream, table, tokens, mask):
        dtable = np.zeros_like(table)
        dtable[tokens] = upstream * mask
        return table[tokens] * mask, (dtable,)

    assert not check(overwrites, reference=operator, cases=20).passed


@DTYPES
def test_a_module_brings_its_parameters_by_name(dtype):
    model = nn.Linear(3, 2)
    before = model.weight.detach().clone()
    operator = Operator(model, drawn(x=(None, 3)))

    def candidate(upstream, x, weight, bias):
        return x @ weight.T + bias, {"dx": upstream @ weight, "dweight": upstream.T @ x, "dbias": upstream.sum(0)}

    assert_matches_autograd(candidate, reference=operator, cases=12, dtype=dtype)
    assert_matches_autograd(nn.Linear(3, 2), reference=operator, cases=12, dtype=dtype)
    assert torch.equal(model.weight, before)
    renamed = nn.Sequential(nn.Linear(3, 2))
    says = "forward takes (input), expected (x, weight, bias); arguments may also be parameters of these names, but"
    assert says in str(check(renamed, reference=operator, cases=1))


def test_no_batch_and_no_axis_are_needed():
    operator = Operator(torch.sin, lambda rng, _: {"x": rng.standard_normal(())})
    assert_matches_autograd(lambda u, x: (np.sin(x), (u * np.cos(x),)), reference=operator, cases=12)
    assert not check(lambda u, x: (np.sin(x), (-u * np.cos(x),)), reference=operator, cases=12).passed


UNUSABLE = {
    "no dict": (Operator(torch.sin, lambda rng, _: rng.random(3)), "draw returned a ndarray, expected a dict"),
    "a taken name": (Operator(torch.sin, drawn(upstream=(2,))), "an argument is called 'upstream', as"),
    "nothing to differentiate": (Operator(torch.sin, drawn(x=(2,)), constant=("x",)), "no argument has a gradient"),
    "an unknown constant": (Operator(torch.sin, drawn(x=(2,)), constant=("y",)), "constant: no argument is called 'y'"),
    "no tensor": (Operator(lambda x: 3, drawn(x=(2,))), "returned a int, expected a tensor or several"),  # noqa: ARG005
    "unused": (Operator(lambda x, y: x * 2, drawn(x=(2,), y=(2,))), r"depends on y; say constant=\('y',\)"),  # noqa: ARG005
    "detached": (Operator(lambda x: x.detach(), drawn(x=(2,))), "no output depends on an argument that has a gradient"),
    "random": (Operator(nn.Dropout(), drawn(x=(9,))), "is another one each time: is dropout active"),
    "raises": (Operator(lambda x: x @ x, drawn(x=(2, 3))), r"raised RuntimeError: mat1 and mat2"),
    "sparse": (
        Operator(nn.Embedding(5, 2, sparse=True), lambda rng, n: {"tokens": rng.integers(0, 5, n)}),
        "the gradient of weight is sparse",
    ),
}  # fmt: skip  # one a line


@pytest.mark.parametrize(("operator", "message"), UNUSABLE.values(), ids=UNUSABLE)
def test_an_operator_that_can_not_serve_is_told_why_in_a_line(operator, message):
    with pytest.raises(UnusableError, match=message) as caught:
        check(in_one, reference=operator)
    assert "\n" not in str(caught.value)


def test_what_is_no_function_is_refused_at_once():
    with pytest.raises(UnusableError, match=r"function: a int, expected a function or an nn\.Module"):
        Operator(3, drawn(x=(2,)))


@pytest.mark.parametrize(
    ("candidate", "form"),
    [
        ((forward, backward), "a pair of functions"),
        (Function, r"a torch\.autograd\.Function"),
        (nn.Linear(2, 3), r"an nn\.Module"),
        (LAYER, "an object with forward and backward"),
    ],
)
def test_what_is_for_operators_is_refused_for_two_layers(candidate, form):
    with pytest.raises(TypeError, match=f"candidate: {form} is checked against an Operator; say reference=Operator"):
        check(candidate)


OWN_DATA = {
    "a matrix that must be invertible": (lambda A, b: torch.linalg.inv(A) @ b, drawn(A=(None, None), b=(None,))),
    "rows that must differ": (
        lambda x: (((x[:, None] - x) ** 2).sum(2) + torch.eye(len(x))).sqrt(),
        drawn(x=(None, 3)),
    ),
}


@pytest.mark.parametrize(("function", "draw"), OWN_DATA.values(), ids=OWN_DATA)
def test_data_that_an_operator_is_not_made_for_are_not_given_to_it(function, draw):
    """Nobody but gradgate repeats its rows."""
    assert_matches_autograd(function, reference=Operator(function, draw))
