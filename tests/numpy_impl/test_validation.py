"""What the hand-written network refuses, and what it says then."""

import re

import numpy as np
import pytest

from numpy_impl import forward, loss_and_grads, mlp
from numpy_impl.validation import is_well_formed
from tests.comparing import draw
from tests.numpy_impl.test_mlp import NAMES, arguments


def with_element(name, value, index=(0, 0)):
    def broken(**arrays):
        arrays[name][index] = value
        return arrays

    return broken


def replaced(name, change):
    return lambda **arrays: arrays | {name: change(arrays[name])}


BAD = [
    ("rank 1", replaced("inputs", lambda a: a[0]), ValueError, r"inputs: shape \(3,\), expected \(batch, in\)"),
    ("rank 3", replaced("targets", lambda a: a[None]), ValueError, r"targets: shape \(1, 5, 2\), .* \(batch, out\)"),
    ("scalar", replaced("W2", lambda _: 0.5), ValueError, r"W2: shape \(\), expected \(out, hidden\)"),
    ("ragged", replaced("W1", lambda _: [[0.1], [0.1, 0.2]]), ValueError, r"W1: not an array, expected \(hidden, in\)"),
    ("W1", replaced("W1", lambda a: a.T), ValueError, r"W1: shape \(3, 4\), .* with in = 3, as in inputs"),
    ("W2", replaced("W2", lambda a: a.T), ValueError, r"W2: shape \(4, 2\), .* with hidden = 4, as in W1"),
    ("B2", replaced("B2", lambda a: a[:1]), ValueError, r"B2: shape \(1, 1\), .* with out = 2, as in W2"),
    ("batches", replaced("targets", lambda a: a[:4]), ValueError, r"targets: shape \(4, 2\), .* with batch = 5"),
    ("columns", replaced("targets", lambda a: a[:, :1]), ValueError, r"targets: shape \(5, 1\), .* with out = 2"),
    ("bias (hidden,)", replaced("B1", np.ravel), ValueError, r"B1: shape \(4,\), expected \(hidden, 1\); B1.reshape"),
    ("bias (1, hidden)", replaced("B1", np.transpose), ValueError, r"B1: shape \(1, 4\), expected \(hidden, 1\)"),
    ("empty batch", replaced("inputs", lambda a: a[:0]), ValueError, r"inputs: shape \(0, 3\) is empty"),
    ("no outputs", replaced("W2", lambda a: a[:0]), ValueError, r"W2: shape \(0, 4\) is empty"),
    ("integers", replaced("targets", lambda a: a.round().astype(int)), TypeError, "targets: dtype int64, expected"),
    ("complex", replaced("W1", lambda a: a + 0j), TypeError, r"W1: dtype complex128, expected float32 or float64"),
    ("object", replaced("B1", lambda a: a.astype(object)), TypeError, "B1: dtype object"),
    ("float16", replaced("B2", lambda a: a.astype("float16")), TypeError, "B2: dtype float16"),
    ("None", replaced("B2", lambda _: None), TypeError, r"B2: dtype object, expected float32 or float64"),
    ("above 1", with_element("targets", 1.0000001, (1, 0)), ValueError, r"targets\[1, 0\]: 1\.0000001, .* \[0, 1\]"),
    ("below 0", with_element("targets", -1e-300), ValueError, r"targets\[0, 0\]: -1e-300, expected .* \[0, 1\]"),
    *(
        (f"{value} in {name}", with_element(name, value), ValueError, rf"{name}\[0, 0\]: {value}, expected finite")
        for name in NAMES
        for value in (np.nan, np.inf, -np.inf)
    ),
]  # fmt: skip  # one refusal a line


@pytest.mark.parametrize(("change", "error", "message"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_bad_input_is_refused_by_name(change, error, message):
    arrays = dict(zip(NAMES, arguments(draw(5, 3, 4, 2, seed=0)), strict=True))
    assert loss_and_grads(**arrays)
    broken = change(**arrays)
    with pytest.raises(error, match=message):
        loss_and_grads(**broken)
    del broken["targets"]
    if not message.startswith("targets"):
        with pytest.raises(error, match=message):
            forward(**broken)


EXACTLY = [
    (replaced("W1", lambda a: a[0]), "W1: shape (3,), expected (hidden, in)"),
    (replaced("B1", np.ravel), "B1: shape (4,), expected (hidden, 1); B1.reshape(-1, 1) has it"),
    (replaced("B1", lambda a: a[None]), "B1: shape (1, 4, 1), expected (hidden, 1)"),
    (replaced("B1", lambda a: np.hstack([a, a])), "B1: shape (4, 2), expected (hidden, 1)"),
    (replaced("W2", lambda a: a.T), "W2: shape (4, 2), expected (out, hidden) with hidden = 4, as in W1"),
    (with_element("targets", 1.5, (1, 0)), "targets[1, 0]: 1.5, expected values within [0, 1]"),
    (with_element("inputs", np.nan, (1, 2)), "inputs[1, 2]: nan, expected finite values"),
]


@pytest.mark.parametrize(("change", "message"), EXACTLY)
def test_a_refusal_says_no_more_than_is_true(change, message):
    arrays = change(**dict(zip(NAMES, arguments(draw(5, 3, 4, 2, seed=0)), strict=True)))
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        loss_and_grads(**arrays)


@pytest.mark.parametrize("empty", range(4))
def test_an_empty_dimension_is_refused_though_all_shapes_fit(empty):
    batch, width, hidden, outputs = (0 if size == empty else 2 for size in range(4))
    shapes = (batch, width), (batch, outputs), (hidden, width), (hidden, 1), (outputs, hidden), (outputs, 1)
    with pytest.raises(ValueError, match=r"^(inputs|W1|W2): shape \(.*\) is empty, expected \("):
        loss_and_grads(*map(np.zeros, shapes))


def test_the_cheap_test_says_yes_to_what_is_right_and_no_to_all_else():
    assert is_well_formed(*arguments(draw(1, 1, 1, 1, seed=0)))
    right = dict(zip(NAMES, arguments(draw(5, 3, 4, 2, seed=0)), strict=True))
    assert is_well_formed(**right)
    for name, array in right.items():
        for wrong in (
            array.tolist(),
            array.astype("float16"),
            array[:0],
            array[0],
            array[:, :0],
            array[1:],
            array + 2j,
        ):
            assert not is_well_formed(**right | {name: wrong})
        assert is_well_formed(**right | {name: array.astype("float32")})
    for value in (np.nextafter(0, -1), np.nextafter(1, 2), np.nan):
        right["targets"][1, 1] = value
        assert not is_well_formed(**right)


@pytest.mark.parametrize("reduction", ["none", "MEAN", None, 0])
def test_an_unknown_reduction_is_refused(reduction):
    with pytest.raises(ValueError, match=f"reduction: {reduction!r}, expected 'mean' or 'sum'"):
        loss_and_grads(*arguments(draw(5, 3, 4, 2, seed=0)), reduction=reduction)


def test_right_input_is_spared_the_careful_test(monkeypatch):
    right = arguments(draw(5, 3, 4, 2, seed=0))
    monkeypatch.setattr(mlp, "checked", None)
    assert loss_and_grads(*right)
    with pytest.raises(TypeError):
        loss_and_grads([[0.5, 0.5, 0.5]], *right[1:])


def test_finite_arguments_that_overflow_to_nan_are_refused(monkeypatch):
    """Whether infinity minus infinity comes up inside a product depends on the BLAS, so it is put there by hand."""
    x, t, W1, B1, W2, B2 = arguments(draw(5, 2, 4, 2, seed=0))
    overflown = mlp.Stages(*(stage * np.nan for stage in forward(x, W1, B1, W2, B2)))
    monkeypatch.setattr(mlp, "stages", lambda *_: overflown)
    with pytest.raises(OverflowError, match=r"inputs, W1 or W2: .* overflows float64"):
        loss_and_grads(x, t, W1, B1, W2, B2)


def test_huge_but_harmless_arguments_are_accepted():
    x, t, W1, B1, W2, B2 = arguments(draw(5, 3, 4, 2, seed=0))
    x[:], W1[:] = 1e200, 1e200  # G1 overflows to infinity, S1 is 1
    loss, grads = loss_and_grads(x, t, W1, B1, W2, B2)
    assert np.isfinite(loss)
    assert all(np.isfinite(dL_dp).all() for dL_dp in grads)
