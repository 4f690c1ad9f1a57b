"""The twelve layouts that people write two layers in: right code passes in each, wrong code fails as in ours."""

import re

import numpy as np
import pytest
import torch

from numpy_impl import loss_and_grads
from torch_ref import Shapes, TwoLayers, check
from torch_ref.two_layers.layouts import ours, theirs
from torch_ref.two_layers.options import LAYOUTS, OURS, Layout

pytestmark = pytest.mark.usefixtures("noise_measured_once")

NAMES = "inputs", "targets", "W1", "B1", "W2", "B2"
EACH = pytest.mark.parametrize("layout", LAYOUTS, ids=str)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def in_rows(x, t, W1, b1, W2, b2):
    """(in, hidden), (hidden,) and inputs in rows, as most classes on the web have it."""
    S1 = sigmoid(x @ W1 + b1)
    S2 = sigmoid(S1 @ W2 + b2)
    loss = -(t * np.log(S2) + (1 - t) * np.log(1 - S2)).mean()
    dG2 = (S2 - t) / t.size
    dG1 = dG2 @ W2.T * S1 * (1 - S1)
    return loss, {"dW1": x.T @ dG1, "db1": dG1.sum(0), "dW2": S1.T @ dG2, "db2": dG2.sum(0)}, dG1


ROWS = Layout("(batch, in)", "(in, hidden)", "(hidden,)")


def in_layout(layout, change=lambda _, grad: grad):
    """The right gradients in a layout and in no other: what does not fit together raises, as a matrix product does."""

    def candidate(*arrays):
        sizes = [array.shape for array in arrays]
        ours_ = [ours(name, array, layout) for name, array in zip(NAMES, arrays, strict=True)]
        if (
            any(array.ndim != 2 for array in ours_)
            or ours_[3].shape[1] != 1
            or sizes != [theirs(name, array, layout).shape for name, array in zip(NAMES, ours_, strict=True)]
        ):
            raise ValueError("shapes do not fit")
        loss, grads = loss_and_grads(*map(np.ascontiguousarray, ours_))
        grads = {name: theirs(name, change(name, grad), layout) for name, grad in grads._asdict().items()}
        return loss, tuple(grads.values())

    return candidate


@EACH
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_right_code_passes_and_its_layout_is_named(layout, dtype):
    report = check(in_layout(layout), cases=12, dtype=dtype)
    assert report.passed, str(report)
    assert report.settings["layout"] == str(layout)
    assert (str(layout) in str(report)) == (layout != OURS)


@EACH
def test_wrong_code_fails_with_the_same_diagnosis_in_the_users_shapes(layout):
    factors = {"W1": 2, "B1": -1}
    report = check(in_layout(layout, lambda name, g: factors.get(name, 1) * g), cases=12)
    assert {(found.name, found.tensors) for found in report.findings} == {("2", ("W1",)), ("-1", ("B1",))}
    failure = report.failure
    for wrong in factors:
        assert failure.yours[wrong].shape == failure.case.arguments[wrong].shape
        assert len(failure.lines[wrong].index) == failure.case.arguments[wrong].ndim


def test_a_class_as_the_web_has_it_needs_no_glue():
    """Rows, (in, hidden), (hidden,), gradients in a dict; and with σ′ of the hidden layer left out."""
    report = check(lambda *arrays: in_rows(*arrays)[:2])
    assert report.passed, str(report)
    assert report.settings["layout"] == str(ROWS)

    def without_slope(x, t, W1, b1, W2, b2):
        loss, grads, _ = in_rows(x, t, W1, b1, W2, b2)
        S2 = sigmoid(sigmoid(x @ W1 + b1) @ W2 + b2)
        dG1 = (S2 - t) / t.size @ W2.T
        return loss, grads | {"dW1": x.T @ dG1, "db1": dG1.sum(0)}

    report = check(without_slope)
    assert [finding.name for finding in report.findings] == ["σ′ is missing in the hidden layer"]


def test_a_pinned_layout_is_the_one_that_is_reported():
    wrong = in_layout(ROWS, lambda name, g: g.T if name == "W1" else g)
    report = check(wrong, cases=5, layout="(batch, in) (in, hidden) (hidden,)")
    assert not report.passed
    assert report.settings["layout"] == str(ROWS)
    assert "fits no layout" not in str(report)
    assert check(wrong, cases=5).settings["layout"] == str(OURS)  # none fits: the report is that of ours
    assert not check(in_layout(ROWS), cases=5, layout=str(OURS)).passed


def changed(name, change):
    """Rows, with one gradient, or all of them, changed."""

    def candidate(*arrays):
        loss, grads, dG1 = in_rows(*arrays)
        return loss, grads | {name: change(grads[name], dG1)} if name else change(grads, dG1)

    return candidate


@pytest.mark.parametrize(
    ("candidate", "said"),
    {
        "transposed": (changed("dW1", lambda g, _: g.T), "dL/dW1: the right numbers, but transposed"),
        "not summed": (changed("db1", lambda _, dG1: dG1), "∂L/∂B1 is not summed over the batch"),
        "all summed": (changed("db1", lambda g, _: g.sum()), "∂L/∂B1 is summed over everything"),
        "another order": (
            changed("", lambda g, _: (g["dW1"], g["dW2"], g["db1"], g["db2"])),
            "dL/dB1 is dL/dW2: return the gradients in the order of the parameters",
        ),
    }.values(),
)
def test_where_none_fits_the_report_names_the_one_in_which_most_shapes_are_right(candidate, said):
    report = check(candidate, cases=5)
    assert report.settings["layout"] == str(OURS)
    (note,) = (note for note in report.notes if "fits no layout" in note)
    shapes = re.search(r"most shapes are right with --layout '(.*)'", note)[1]
    assert shapes.startswith("(batch, in) (in, hidden) ")
    assert said in str(check(candidate, cases=5, layout=shapes))


def test_ours_is_shown_where_it_fits_as_well_as_any_or_no_layout_makes_a_difference():
    report = check(in_layout(OURS, lambda name, g: g.T if name == "W1" else g), cases=5)
    assert f"fits no layout: this is shown for {OURS}" in report.notes

    def without_one(*arrays):
        loss, grads = loss_and_grads(*arrays)
        return [loss], grads._replace(B1=None)

    for candidate in without_one, lambda *_: None:
        report = check(candidate, cases=5)
        assert not report.passed
        assert not any("layout" in note for note in report.notes)


def test_ours_wins_wherever_it_fits():
    assert check(loss_and_grads, cases=3).settings["layout"] == str(OURS)
    square = Shapes((3, 3), (3, 3), (3, 3), (3, 3))
    assert check(loss_and_grads, cases=3, shapes=square).settings["layout"] == str(OURS)


@EACH
@pytest.mark.parametrize("array", [np.zeros((3, 1)), torch.zeros(3, 1)], ids=["array", "tensor"])
def test_there_and_back_is_the_same_memory(layout, array):
    for name in NAMES:
        there = theirs(name, array, layout)
        assert ours(name, there, layout).shape == array.shape


@pytest.mark.parametrize("text", ["", "(batch, in)", "(a) (b) (c)", "(in, batch) (hidden, in) (hidden)", "rows"])
def test_what_is_no_layout_is_refused(text):
    with pytest.raises(
        ValueError, match=r"layout: .*, expected the shapes of inputs, W1 and B1: inputs \(batch, in\) or"
    ):
        TwoLayers(layout=text)
