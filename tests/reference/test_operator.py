"""Operators: several outputs, constants, modules, data of any shape; what can not serve is told why."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.reference.rms import DTYPES, LAYER, Function, backward, drawn, forward, in_one
from torch_ref import Operator, UnusableError, assert_matches_autograd, check


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
