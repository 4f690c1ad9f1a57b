"""Modules with several inputs and targets, gradients to the inputs, frozen parameters and buffers."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from torch_ref import Reference, assert_matches_autograd, check

DTYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])


def bilinear(x, y, t, W, b):
    out = np.einsum("bi,oij,bj->bo", x, W, y) + b  # (batch, out)
    dout = 2 * (out - t) / t.size
    grads = np.einsum("bo,bi,bj->oij", dout, x, y), dout.sum(0)
    return ((out - t) ** 2).mean(), grads, dout


def draw_two(rng, batch):
    return (rng.standard_normal((batch, 3)), rng.standard_normal((batch, 4))), rng.standard_normal((batch, 2))


def draw_by_name(rng, batch):
    (x, y), t = draw_two(rng, batch)
    return {"input1": x, "input2": y}, t


@DTYPES
def test_several_inputs_come_in_a_tuple_or_by_name(dtype):
    model = nn.Bilinear(3, 4, 2)
    of_tuple = Reference(model, F.mse_loss, draw_two)
    assert_matches_autograd(lambda xy, t, W, b: bilinear(*xy, t, W, b)[:2], reference=of_tuple, cases=12, dtype=dtype)
    by_name = Reference(model, F.mse_loss, draw_by_name)
    assert_matches_autograd(
        lambda given, t, W, b: bilinear(given["input1"], given["input2"], t, W, b)[:2],
        reference=by_name,
        cases=12,
        dtype=dtype,
    )


@DTYPES
def test_the_gradient_to_the_inputs_comes_first_where_it_is_asked_for(dtype):
    def candidate(xy, t, W, b):
        x, y = xy
        loss, grads, dout = bilinear(x, y, t, W, b)
        dx, dy = np.einsum("bo,oij,bj->bi", dout, W, y), np.einsum("bo,oij,bi->bj", dout, W, x)
        return loss, (dx, dy, *grads)

    reference = Reference(nn.Bilinear(3, 4, 2), F.mse_loss, draw_two, inputs=True)
    report = check(candidate, reference=reference, cases=12, dtype=dtype)
    assert report.passed, str(report)
    assert list(report.ordinary.tallies) == ["loss", "inputs[0]", "inputs[1]", "weight", "bias"]
    wrong = check(lambda *a: (candidate(*a)[0], (2 * candidate(*a)[1][0], *candidate(*a)[1][1:])), reference=reference)
    assert [finding.tensors for finding in wrong.findings] == [("inputs[0]",)]


def draw(rng, batch):
    return rng.standard_normal((batch, 3)), rng.standard_normal((batch, 2))


def test_several_targets_go_to_the_loss_as_they_are():
    def draw_weighted(rng, batch):
        return rng.standard_normal((batch, 3)), {"t": rng.standard_normal((batch, 2)), "w": rng.random(batch)}

    def loss(y, targets):
        return (targets["w"][:, None] * (y - targets["t"]) ** 2).mean()

    def candidate(x, targets, W, b):
        t, w = targets["t"], targets["w"][:, None]
        y = x @ W.T + b
        dy = 2 * w * (y - t) / t.size
        return (w * (y - t) ** 2).mean(), (dy.T @ x, dy.sum(0))

    assert_matches_autograd(candidate, reference=Reference(nn.Linear(3, 2), loss, draw_weighted), cases=12)


def test_a_frozen_parameter_is_passed_and_has_no_gradient():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    model[0].requires_grad_(requires_grad=False)

    def candidate(x, t, W1, b1, W2, b2):
        S = x @ W1.T + b1
        y = S @ W2.T + b2
        dy = 2 * (y - t) / t.size
        return ((y - t) ** 2).mean(), (dy.T @ S, dy.sum(0))

    reference = Reference(model, F.mse_loss, draw)
    report = check(candidate, reference=reference, cases=12)
    assert report.passed, str(report)
    assert list(report.ordinary.tallies) == ["loss", "1.weight", "1.bias"]
    assert [parameter.requires_grad for parameter in model.parameters()] == [False, False, True, True]


def test_buffers_are_passed_on_request_as_they_are():
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2)).eval()
    model[0].running_mean.copy_(torch.tensor([0.5, -1.0, 2.0]))
    model[0].running_var.copy_(torch.tensor([0.5, 1.5, 2.5]))

    def candidate(x, t, scale, shift, W, b, mean, var, _):
        N = (x - mean) / np.sqrt(var + x.dtype.type(1e-5))
        S = N * scale + shift
        y = S @ W.T + b
        dy = 2 * (y - t) / t.size
        dS = dy @ W
        return ((y - t) ** 2).mean(), ((dS * N).sum(0), dS.sum(0), dy.T @ S, dy.sum(0))

    assert_matches_autograd(candidate, reference=Reference(model, F.mse_loss, draw, buffers=True), cases=12)
