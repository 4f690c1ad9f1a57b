"""Any network as the reference: correct code passes, planted mistakes are found, and nothing the user owns changes."""

import re
import sys
import textwrap
from functools import partial
from importlib import util
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.comparing import compared, parameters_of
from torch_ref import Reference, Shapes, TwoLayers, assert_matches_autograd, check
from torch_ref.command.main import main
from torch_ref.outcome import Tally
from torch_ref.precision import FLOAT64, PRECISIONS
from torch_ref.results import Line
from torch_ref.rounding import noise

EXAMPLES = Path(__file__).parents[1] / "worked_examples"


def module_of(name, right="", wrong=""):
    """A worked example as a module; with a line of it replaced, if one is given."""
    source = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    assert not right or source.count(right) == 1
    module = util.module_from_spec(util.spec_from_loader(name, loader=None))
    exec(compile(source.replace(right, wrong) if right else source, name, "exec"), vars(module))  # noqa: S102  # ours
    return module


PLANTED = {
    "softmax_regression": ("    dL_dZ /= len(X)\n", "", {"weight", "bias"}, "batch × autograd's (not divided by the b"),
    "relu_mlp": ("dL_dG2 @ W2 * (G1 > 0)", "dL_dG2 @ W2", {"0.weight", "0.bias"}, "right: loss, dL/d2.weight, dL/d2.b"),
    "convnet": ("dL_dC, patches)", "dL_dC, patches)[..., ::-1, ::-1]", {"0.weight"}, "backwards along axis 2 and 3"),
    "layernorm_gelu": (" - N * (dL_dN * N).mean(axis=1, keepdims=True)", "", {"0.weight", "0.bias"}, "wrong: dL/d0.w"),
    "attention": (
        "    dL_dscores /= X.dtype.type(math.sqrt(HEAD))\n", "", {"query.weight", "key.weight"}, "√3 × autograd's"
    ),
    "rnn": (
        "dL_dG @ U ", "dL_dG @ U.T ", {f"cell.{p}_{q}" for p in ("weight", "bias") for q in ("ih", "hh")}, "right: loss"
    ),
}  # fmt: skip  # one a line
DTYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])


@DTYPES
@pytest.mark.parametrize("name", PLANTED)
def test_a_correct_backward_pass_of_a_real_layer_is_green(name, dtype):
    example = module_of(name)
    report = check(example.loss_and_grads, reference=example.make_reference(), cases=40, seed=1, dtype=dtype)
    assert report.passed, str(report)
    assert report.ordinary.cases == 40
    assert report.saturated.cases == 0
    for tally in report.ordinary.tallies.values():
        assert tally.vacuous <= 4  # all units of a ReLU may be 0


@DTYPES
@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_mistake_in_it_is_red_where_it_is(name, dtype):
    right, wrong, tensors, text = PLANTED[name]
    example = module_of(name, right, wrong)
    report = check(example.loss_and_grads, reference=example.make_reference(), cases=20, dtype=dtype)
    assert {tensor for tensor, tally in report.ordinary.tallies.items() if tally.failed} == tensors
    assert text in str(report)


def two_layers(activation, slope, loss, dloss):
    """The family's correct code in NumPy."""

    def candidate(x, t, W1, B1, W2, B2, reduction="mean"):
        G1 = W1 @ x.T + B1
        S1 = activation(G1)
        S2 = 1 / (1 + np.exp(-(W2 @ S1 + B2)))
        terms = x.dtype.type(t.size if reduction == "mean" else 1)
        dG2 = dloss(S2, t.T) * S2 * (1 - S2) / terms
        dG1 = W2.T @ dG2 * slope(G1)
        grads = dG1 @ x, dG1.sum(1, keepdims=True), dG2 @ S1.T, dG2.sum(1, keepdims=True)
        return loss(S2, t.T).sum() / terms, grads

    return candidate


HIDDEN = {
    "sigmoid": (lambda G: 1 / (1 + np.exp(-G)), lambda G: np.exp(-G) / (1 + np.exp(-G)) ** 2),
    "tanh": (lambda G: 2 / (1 + np.exp(-2 * G)) - 1, lambda G: 1 / np.cosh(G) ** 2),
    "relu": (lambda G: np.maximum(G, 0), lambda G: (G >= 0).astype(G.dtype)),
}
LOSSES = {
    "bce": (lambda S, t: -t * np.log(S) - (1 - t) * np.log(1 - S), lambda S, t: (S - t) / (S * (1 - S))),
    "mse": (lambda S, t: (S - t) ** 2, lambda S, t: 2 * (S - t)),
    "half-mse": (lambda S, t: (S - t) ** 2 / 2, lambda S, t: S - t),
}


@pytest.mark.parametrize(("dtype", "reduction"), [("float64", "sum"), ("float32", "mean")])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", HIDDEN)
def test_the_two_layer_family_is_green_for_its_own_formula_and_red_for_any_other(activation, loss, reduction, dtype):
    network = {"activation": activation, "loss": loss, "reduction": reduction, "shapes": Shapes(outputs=(1, 3))}
    report = check(two_layers(*HIDDEN[activation], *LOSSES[loss]), cases=40, dtype=dtype, **network)
    assert report.passed, str(report)
    reference = TwoLayers(**network)
    case = reference.cases.draw(7, 3, 5, 2, seed=0, precision=PRECISIONS[dtype])
    for other in {*product(HIDDEN, LOSSES)} - {(activation, loss)}:
        candidate = two_layers(*HIDDEN[other[0]], *LOSSES[other[1]])
        assert not compared(candidate, case, reference).passed


def test_a_candidate_is_given_the_options_that_it_has_parameters_for():
    seen = []

    def candidate(x, t, W1, B1, W2, B2, *, activation, loss):
        seen.append((activation, loss))
        return two_layers(*HIDDEN[activation], *LOSSES[loss])(x, t, W1, B1, W2, B2)

    assert_matches_autograd(candidate, cases=5, activation="tanh", loss="mse")
    assert set(seen) == {("tanh", "mse")}


def draw(rng, batch):
    return rng.standard_normal((batch, 3)), rng.standard_normal((batch, 2))


def linear(x, t, W, b):
    y = x @ W.T + b
    dy = 2 * (y - t) / y.size
    return ((y - t) ** 2).mean(), (dy.T @ x, dy.sum(0))


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
    report = check(lambda *_: (0.0, [0] * 4), reference=Reference(model, loss, draw, batch=(2, 8)), cases=10)
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
    reference = Reference(model, F.mse_loss, draw)
    case = reference.cases.draw(5, seed=0)
    first = reference.evaluate(case)
    noise(partial(reference.evaluate, case), first)
    assert all(np.array_equal(array, first[name]) for name, array in reference.evaluate(case).items())


def test_parameters_are_redrawn_from_the_seed_and_none_is_degenerate():
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.PReLU(), nn.Linear(4, 2))
    nn.init.normal_(model[1].weight)
    reference = Reference(model, F.mse_loss, draw)
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

    reference = Reference(Scaled(), F.mse_loss, draw)
    drawn = [reference.cases.draw(4, seed=seed).arguments["scale"] for seed in range(20)]
    assert len({array.tobytes() for array in drawn}) == 20


@DTYPES
@pytest.mark.parametrize("at_zero", [0.0, 0.5, 1.0])
def test_at_the_kink_of_a_relu_nobody_is_accused(at_zero, dtype):
    """Biases that cancel W x, so that every pre-activation is 0 within rounding: any slope from 0 to 1 is right."""
    reference = Reference(nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2)), F.mse_loss, draw)
    case = reference.cases.draw(1, seed=0, precision=PRECISIONS[dtype])
    case.arguments["0.bias"][:] = -(case.arguments["0.weight"] @ case.arguments["inputs"][0])

    def candidate(x, t, W1, b1, W2, b2):
        S = np.maximum(x @ W1.T + b1, 0)
        dy = 2 * (S @ W2.T + b2 - t) / t.size
        dG = dy @ W2 * x.dtype.type(at_zero)
        return ((S @ W2.T + b2 - t) ** 2).mean(), (dG.T @ x, dG.sum(0), dy.T @ S, dy.sum(0))

    assert compared(candidate, case, reference).passed
    case.arguments["0.bias"][:] += 1e-3
    assert compared(candidate, case, reference).passed == (at_zero == 1)


@DTYPES
@pytest.mark.parametrize("chosen", [0, 1])
def test_a_tie_in_a_max_pool_goes_to_whichever_is_chosen(chosen, dtype):
    """Each two of eight features have the same weights and so the same value."""
    reference = Reference(nn.Sequential(nn.Linear(3, 8), nn.MaxPool1d(2)), F.mse_loss, lambda rng, n: (
        rng.standard_normal((n, 3)), rng.standard_normal((n, 4))
    ))  # fmt: skip
    case = reference.cases.draw(2, seed=0, precision=PRECISIONS[dtype])
    for array in parameters_of(case).values():
        array[1::2] = array[::2]

    def candidate(x, t, W, b):
        y = (x @ W.T + b)[:, ::2]
        dG = np.zeros((len(x), 8), x.dtype)
        dG[:, chosen::2] = 2 * (y - t) / t.size
        return ((y - t) ** 2).mean(), (dG.T @ x, dG.sum(0))

    assert compared(candidate, case, reference).passed
    for array in parameters_of(case).values():
        array[::2] += 1e-3
    assert compared(candidate, case, reference).passed == (chosen == 0)


def test_replays_go_through_operators_that_select_a_value():
    """amax and its like give their gradient to the element that equals the result: that must stay the same number."""

    class Stable(nn.Linear):
        def forward(self, x):
            z = super().forward(x)
            return z - z.amax(1, keepdim=True) - z.max() - z.min() - z.median()

    reference = Reference(Stable(3, 2), F.mse_loss, draw)
    for seed in range(20):
        case = reference.cases.draw(5, seed=seed)
        measured = noise(partial(reference.evaluate, case), plain := reference.evaluate(case))
        assert 0 < measured["weight"] < 1e-12 * np.abs(plain["weight"]).max()


def reference_of(model=None, loss=F.mse_loss, draw=draw, **options):
    return lambda: Reference(model or nn.Linear(3, 2), loss, draw, **options)


class Unused(nn.Linear):
    def forward(self, x):
        return F.linear(x, self.weight)


UNUSABLE = {
    "dropout": (reference_of(nn.Sequential(nn.Linear(3, 2), nn.Dropout())), "another one each time: is dropout act"),
    "no parameters": (reference_of(nn.ReLU()), "the model has no parameters, expected at least one"),
    "no module": (reference_of(lambda x: x), "model is a function, expected an nn.Module"),
    "unused": (reference_of(Unused(3, 2)), "the loss does not depend on bias; leave it out of the model"),
    "no loss": (reference_of(loss=lambda *_: torch.zeros(())), "the loss does not depend on any parameter"),
    "not scalar": (reference_of(loss=nn.MSELoss(reduction="none")), r"the loss is of shape \(7, 2\), expected a"),
    "a float": (reference_of(loss=lambda *_: 0.5), "the loss is a float, expected a scalar tensor"),
    "infinite": (reference_of(loss=lambda y, _: y.sum() * torch.inf), "loss is not finite, expected finite numbers"),
    "NaN gradient": (reference_of(loss=lambda y, _: (0 * y).sum().sqrt()), "dL/dweight is not finite"),
    "float16": (reference_of(nn.Linear(3, 2).half()), "weight is float16, expected float32 or float64; call"),
    "on no device": (reference_of(nn.Linear(3, 2, device="meta")), "weight is on meta, expected cpu"),
    "frozen": (reference_of(nn.Linear(3, 2).requires_grad_(requires_grad=False)), "weight does not require a gradient"),
    "raises": (reference_of(nn.Linear(4, 2)), r"raised RuntimeError: mat1 and mat2 .*\[seed=0 batch=7 float64\]"),
    "draws one": (reference_of(draw=lambda rng, n: rng.random((n, 3))), r"draw returned a ndarray, expected \(inp"),
    "draws NaN": (reference_of(draw=lambda _, n: (np.full((n, 3), np.nan), 0)), "inputs with nan, expected finite"),
    "draws halves": (reference_of(draw=lambda _, n: (np.ones((n, 3), "e"), 0)), "inputs of dtype float16, expected"),
    "draws words": (reference_of(draw=lambda _, n: (np.ones((n, 3)), ["a"])), "targets of dtype <U1, expected"),
    "draw raises": (reference_of(draw=lambda _: 0), "draw raised TypeError: .* takes 1 positional argument but 2"),
    "draws at random": (reference_of(draw=lambda _, n: draw(np.random.default_rng(), n)), "draw gives another batch"),
    "lazy": (reference_of(nn.LazyLinear(2)), "weight has no shape yet, expected one; call the model once"),
    "broadcast": (reference_of(draw=lambda r, n: (r.random((n, 3)), r.random((n, 1)))), "Using a target size"),
    "batch norm": (reference_of(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)), batch=(1, 1)), "Say batch="),
    "no batch": (reference_of(batch=(0, 4)), "batch: from 0 to 4, expected 1 or more"),
    "one batch": (reference_of(batch=4), r"batch: 4, expected the smallest and the largest, as in \(1, 8\)"),
}  # fmt: skip  # one a line


@pytest.mark.parametrize(("make", "message"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_reference_that_cannot_serve_is_told_why(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        check(linear, reference=make())
    assert "\n" not in str(caught.value)


def test_a_scalar_parameter_keeps_its_shape():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(1.0))

        def forward(self, x):
            return x[:, :2] * self.scale

    def candidate(x, t, scale):
        assert scale.shape == ()
        y = x[:, :2] * scale
        return ((y - t) ** 2).mean(), [(2 * (y - t) / y.size * x[:, :2]).sum()]

    assert_matches_autograd(candidate, reference=Reference(Scaled(), F.mse_loss, draw), cases=20)


def of_two_columns(loss):
    """A Linear whose loss may not depend on its parameters, and a candidate that returns these gradients."""
    return Reference(nn.Linear(3, 2), loss, draw)


def test_what_is_hardly_tested_is_noted():
    """In two cases of three the true gradient is 0, and one of zeros would pass."""

    def candidate(x, t, W, b):
        on = x.dtype.type(t[0, 0] > 0.5)
        return (on * (x @ W.T + b)).sum(), (on * np.ones((2, 1), x.dtype) * x.sum(0), on * len(x) * np.ones_like(b))

    report = check(candidate, reference=of_two_columns(lambda y, t: (y * (t[0, 0] > 0.5)).sum()), cases=60)
    assert report.passed, str(report)
    assert any(note.startswith("is hardly tested for dL/dweight: in ") for note in report.notes)


def test_a_gradient_that_is_rounding_alone_is_zero_and_right():
    """A bias before batch norm: autograd's own is 1e-17 or so, and a candidate's 0 is right."""
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))

    def candidate(x, t, W, b, scale, shift):
        G = x @ W.T + b
        centered = G - G.mean(0)
        deviation = np.sqrt((centered**2).mean(0) + x.dtype.type(1e-5))
        N = centered / deviation
        dy = 2 * (scale * N + shift - t) / t.size
        dN = dy * scale
        dG = (dN - dN.mean(0) - N * (dN * N).mean(0)) / deviation
        loss = ((scale * N + shift - t) ** 2).mean()
        return loss, (dG.T @ x, 0 * b, (dy * N).sum(0), dy.sum(0))

    for dtype in "float64", "float32":
        report = check(candidate, reference=Reference(model, F.mse_loss, draw, batch=(2, 16)), cases=30, dtype=dtype)
        assert report.passed, str(report)
        assert report.ordinary.status("0.bias") == "zero"
        assert report.ordinary.status("0.weight") == "match"
        assert "dL/d0.bias: autograd's own is 0, or rounding alone, in every case" in str(report)


def test_a_reference_whose_every_gradient_is_zero_proves_nothing_and_fails():
    reference = of_two_columns(lambda y, t: (0 * y).sum() + (t * t).mean())
    report = check(lambda _, t, W, b: ((t * t).mean(), (0 * W, 0 * b)), reference=reference, cases=5)
    assert report.noise["loss"] > report.noise["weight"] == report.noise["bias"] == 0
    assert not report.passed
    assert report.failure is None
    assert report.ordinary.untested == ["dL/dweight", "dL/dbias"]
    assert "is not tested for dL/dweight" in str(report)
    with pytest.raises(AssertionError, match="a gradient that no case tests"):
        assert_matches_autograd(lambda _, t, W, b: ((t * t).mean(), (0 * W, 0 * b)), reference=reference, cases=5)


def test_what_no_case_proves_anything_of_is_untested_unless_it_is_zero():
    """A line may be ten times what is allowed, 1/10 of it, or less than its own noise."""
    proved, vacuous, zero = (
        Line("dL/dW", FLOAT64, largest=1.0, error=0.0, allowed=a, noise=a / 8) for a in (0.1, 1.2, 9)
    )
    for lines, status in (
        ((proved, vacuous), "match"),
        ((vacuous, vacuous), "untested"),
        ((vacuous, zero), "untested"),
        ((zero, zero), "zero"),
    ):
        tally = Tally(lines[0])
        for line in lines:
            tally.add(line)
        assert tally.status == status


def test_a_model_that_is_random_in_the_dtype_of_the_check_is_refused():
    class Trembling(nn.Linear):
        def forward(self, x):
            return super().forward(x + torch.rand(()) if x.dtype == torch.float32 else x)

    reference = Reference(Trembling(3, 2), F.mse_loss, draw)
    with pytest.raises(ValueError, match="is another one each time"):
        check(linear, reference=reference, cases=1, dtype="float32")


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

    (finding,) = check(divided, reference=Reference(Scaled(), F.mse_loss, draw), cases=10).findings
    assert (finding.kind, finding.name, finding.tensors) == ("chain", "unexplained", ("w",))


def test_what_is_wrong_everywhere_says_that_nothing_is_right():
    right = module_of("relu_mlp").loss_and_grads

    def cubed(*arrays):
        loss, grads = right(*arrays)
        return loss**3, tuple(grad**3 for grad in grads)

    finding = check(cubed, reference=module_of("relu_mlp").make_reference(), cases=5).findings[-1]
    assert finding.text.endswith(", dL/d4.bias; right: nothing.")


def test_a_gradient_without_values_is_not_called_a_mistake_unknown():
    right = module_of("relu_mlp").loss_and_grads

    def candidate(*arrays):
        loss, grads = right(*arrays)
        return loss, (None, *grads[1:])

    (finding,) = check(candidate, reference=module_of("relu_mlp").make_reference(), cases=5).findings
    assert (finding.kind, finding.name, finding.text) == (
        "form", "nothing to compare", "dL/d0.weight: not an array: None."
    )  # fmt: skip


def test_options_of_the_two_layer_network_do_not_go_with_another_reference():
    with pytest.raises(ValueError, match=r"^loss, reduction: of the two-layer network, not of another reference"):
        check(linear, reference=reference_of()(), loss="mse", reduction="sum")


def changed(**changes):
    """`relu_mlp`'s right answer with some tensors changed, by their position among loss and gradients."""
    right = module_of("relu_mlp").loss_and_grads

    def candidate(*arrays):
        loss, grads = right(*arrays)
        answer = [loss, *grads]
        for position, change in changes.items():
            answer[int(position[1:])] = change(answer[int(position[1:])])
        return answer[0], answer[1:]

    return candidate


def of_some(kept, *, of_all=True):
    right = module_of("relu_mlp").loss_and_grads

    def candidate(x, t, *parameters):
        loss, _ = right(x, t, *parameters)
        _, grads = right(x[kept], t[kept], *parameters)
        return loss, tuple(grad * (len(x[kept]) / len(x) if of_all else 1) for grad in grads)

    return candidate


GENERIC = {
    "sign": (changed(_1=np.negative), "factor", "-1", ("0.weight",)),
    "stray 2": (changed(_1=lambda g: 2 * g, _2=lambda g: 2 * g), "factor", "2", ("0.weight", "0.bias")),
    "transposed": (changed(_3=np.transpose), "form", "transposed, its axes in the order (1, 0)", ("2.weight",)),
    "flat": (changed(_3=np.ravel), "form", "another shape or dtype", ("2.weight",)),
    "backwards": (changed(_4=lambda g: g[::-1]), "form", "backwards along axis 0", ("2.bias",)),
    "permuted": (changed(_2=lambda g: g[[1, 2, 0, 3, 4, 5]]), "form", "its elements are in another order", ("0.bias",)),
    "float32": (changed(_3=lambda g: g.astype("f").astype("d")), "precision", "float32", ("2.weight",)),
    "first": (of_some(slice(1, None)), "mistake", "the first sample of the batch is dropped", None),
    "first, the others' mean": (
        of_some(slice(1, None), of_all=False),
        "mistake",
        "the first sample of the batch is dropped",
        None,
    ),
    "last": (of_some(slice(-1)), "mistake", "the last sample of the batch is dropped", None),
    "only last": (of_some(slice(-1, None)), "mistake", "only the last sample of the batch counts", None),
    "unknown": (changed(_5=lambda g: g**3), "chain", "unexplained", ("4.weight",)),
}


@pytest.mark.parametrize(("candidate", "kind", "name", "tensors"), GENERIC.values(), ids=GENERIC)
def test_a_mistake_in_any_network_is_named_by_its_numbers(candidate, kind, name, tensors):
    reference = module_of("relu_mlp").make_reference()
    (finding,) = check(candidate, reference=reference, cases=5).findings
    every = tuple(parameter for parameter, _ in reference.model.named_parameters())
    assert (finding.kind, finding.name, finding.tensors) == (kind, name, tensors or every)


def test_a_gradient_in_another_ones_place_is_named():
    right = module_of("attention").loss_and_grads

    def swapped(*arrays):
        loss, (query, key, value) = right(*arrays)
        return loss, (key, query, value)

    findings = check(swapped, reference=module_of("attention").make_reference(), cases=5).findings
    assert [finding.name for finding in findings] == [
        "dL/dquery.weight is dL/dkey.weight",
        "dL/dkey.weight is dL/dquery.weight",
    ]


def test_data_used_in_place_of_an_argument_is_named():
    data = np.random.default_rng(0)
    x, t = data.standard_normal((50, 4)), data.standard_normal((50, 2))
    right = module_of("relu_mlp").loss_and_grads

    def of_the_module(inputs, targets, *parameters):
        return right(inputs, targets, *parameters)[0], right(x, t, *parameters)[1]

    findings = check(of_the_module, reference=module_of("relu_mlp").make_reference(), cases=5).findings
    assert [finding.name for finding in findings] == ["inputs is ignored"]


def test_a_batch_that_decides_is_named_and_shrunk_to():
    right = module_of("relu_mlp").loss_and_grads

    def without_batches(x, t, *parameters):
        if len(x) > 1:
            raise ValueError("one sample only")
        return right(x, t, *parameters)

    report = check(without_batches, reference=module_of("relu_mlp").make_reference(), cases=120)
    assert [finding.name for finding in report.findings] == ["right only for batch = 1"]
    assert report.ordinary.failure.case.sizes == {"batch": 2}


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    code = """
        import numpy as np
        from torch import nn
        from torch_ref import Reference

        def draw(rng, batch):
            return rng.standard_normal((batch, 3)), rng.standard_normal((batch, 2))

        def make_reference():
            return Reference(nn.Linear(3, 2), nn.functional.mse_loss, draw, batch=(2, 9))

        def make_nothing(): ...
        def needs(argument): ...
        def exits(): raise SystemExit(5)
        def dropout():
            return Reference(nn.Sequential(nn.Linear(3, 2), nn.Dropout()), nn.functional.mse_loss, draw)

        def right(x, t, W, b):
            y = x @ W.T + b
            dy = 2 * (y - t) / y.size
            return ((y - t) ** 2).mean(), (dy.T @ x, dy.sum(0))

        def wrong(x, t, W, b):
            loss, (dW, db) = right(x, t, W, b)
            return loss, (dW, 2 * db)
    """
    (tmp_path / "net_of_mine.py").write_text(textwrap.dedent(code), encoding="utf-8")
    yield "net_of_mine.py:"
    sys.modules.pop("net_of_mine", None)


def test_the_command_takes_a_reference(files, capsys):
    assert main([files + "right", "--reference", files + "make_reference", "--cases", "12"]) == 0
    printed = capsys.readouterr().out
    assert f"{files}right against autograd of {files}make_reference\n" in printed
    assert re.findall(r"12 ordinary +(\S+) .* match", printed) == ["loss", "dL/dweight", "dL/dbias"]
    assert "saturated" not in printed
    assert main([files + "wrong", "--reference", files + "make_reference", "--max-batch", "5"]) == 1
    printed = capsys.readouterr().out
    assert "dL/dbias: 2 × autograd's" in printed
    assert "[seed=0 batch=2 float64]" in printed
    again = f"gradgate {files}wrong --reference {files}make_reference --max-batch 5"
    assert f"To see it again: {again}\n" in printed
    assert main([*again.split()[1:], "--format", "json"]) == 1
    assert '"model": "Linear"' in capsys.readouterr().out


BAD = {
    "with a width": (["right", "--hidden", "3"], "--hidden: of the two-layer network, not of another reference"),
    "with a loss": (["right", "--loss", "mse"], "--loss: of the two-layer network, not of another reference"),
    "no candidate": ([], "--reference net_of_mine.py:make_reference: name a candidate to check against it"),
    "no Reference": (["right", "--reference", "make_nothing"], "make_nothing: returned a NoneType, expected a Refer"),
    "raises": (["right", "--reference", "needs"], "net_of_mine.py:needs: raised TypeError: needs.. missing 1 required"),
    "exits": (["right", "--reference", "exits"], "net_of_mine.py:exits: raised SystemExit: 5"),
    "empty": (["right", "--reference", ""], ": expected package.module:function or path/to/file.py:function"),
    "not there": (["right", "--reference", "nowhere"], "net_of_mine.py:nowhere: no such function; net_of_mine.py has"),
    "unusable": (["right", "--reference", "dropout"], "reference: loss is another one each time: is dropout active"),
}  # fmt: skip  # one a line


@pytest.mark.parametrize(("words", "message"), BAD.values(), ids=BAD)
def test_a_reference_that_is_no_use_exits_2_with_a_line(words, message, files, capsys):
    names = {"right", "make_nothing", "needs", "nowhere", "dropout", "exits"}
    words = ["--reference", files + "make_reference", *(files + word if word in names else word for word in words)]
    assert main(words) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert re.search(message, printed.err)
    assert printed.err.count("\n") == 1


def test_the_built_in_candidate_is_of_its_own_network_only(capsys):
    assert main(["--activation", "tanh"]) == 2
    assert "numpy_impl:loss_and_grads is of a sigmoid and bce; name a candidate" in capsys.readouterr().err
