"""A candidate called: on copies, with what it prints kept out; whatever becomes an array will do."""

import linecache
import sys
from functools import partial

import numpy as np
import pytest
import torch

from numpy_impl import loss_and_grads
from tests.comparing import draw
from torch_ref import check
from torch_ref.candidate.calling import InProcess


def test_what_it_prints_is_kept_out_and_noted(capsys):
    def prints(*arrays):
        sys.stdout.write("epoch 1\n")
        return loss_and_grads(*arrays)

    report = check(prints, cases=8)
    assert report.passed
    assert report.notes == ["prints to standard output; it is left out here"]
    assert capsys.readouterr().out == ""
    assert check(loss_and_grads, cases=8).notes == []


def by_name(**more):
    """The right loss and gradients in one dict, with more keys."""

    def candidate(*arrays):
        loss, grads = loss_and_grads(*arrays)
        return {"loss": loss, **grads._asdict(), **more}

    return candidate


def test_keys_that_stand_for_nothing_are_noted_and_a_loss_among_the_gradients_is_the_loss():
    report = check(by_name(W3=0.0, dX=1.0), cases=8)
    assert report.passed
    assert report.notes == ["returns W3, dX too, which is no gradient of the reference: it is not looked at"]
    assert check(by_name(), cases=8).notes == []
    assert not check(by_name(loss=0.5), cases=8).passed


class JaxLike:
    """An array of another library: it knows how to become NumPy's."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return np.array(self.array, dtype=dtype, copy=copy)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "convert",
    [
        lambda a: np.asarray(a).tolist(),
        torch.tensor,
        lambda a: torch.tensor(a, requires_grad=True),
        JaxLike,
    ],
    ids=["lists and floats", "tensors", "tensors that require grad", "__array__"],
)
def test_whatever_becomes_an_array_will_do(convert, dtype):
    def candidate(*arrays):
        loss, grads = loss_and_grads(*arrays)
        return [convert(loss), list(map(convert, grads))]

    report = check(candidate, cases=20, dtype=dtype)
    assert report.passed, str(report)


def test_the_users_arrays_are_copied():
    case = draw(4, 3, 2, 1, seed=0)
    seen = []
    InProcess(lambda *arrays: seen.extend(arrays) or loss_and_grads(*arrays), ("loss",), {})(case)
    for given, own in zip(seen, case.arguments.values(), strict=True):
        assert not np.shares_memory(given, own)
        assert given.flags.c_contiguous
        assert given.flags.writeable


def test_a_candidate_may_write_and_warn_while_it_is_timed(capsys):
    def noisy(*arrays):
        sys.stdout.write("here I am\n")
        np.log(np.zeros(1))
        return loss_and_grads(*arrays)

    assert check(noisy, cases=1, time=True).passed
    assert capsys.readouterr().out == ""


class Layer(torch.nn.Module): ...


def add(a, b):
    return a + b


@pytest.mark.parametrize(
    ("code", "line"),
    [
        (add, "def add(a, b):"),
        (partial(add, 1), "def add(a, b):"),
        ((len, add), "def add(a, b):"),
        (Layer, "class Layer(torch.nn.Module): ..."),
        (Layer(), "class Layer(torch.nn.Module): ..."),
        (JaxLike([1.0]).__array__, "def __array__(self, dtype=None, copy=None):"),
        (len, None),
        (eval("lambda: 0"), None),  # noqa: S307  # our own
    ],
)
def test_a_candidate_is_written_where_its_function_or_its_class_begins(code, line):
    place = InProcess(code, ("loss",), {}).place
    assert (place and linecache.getline(*place).strip()) == line
