"""The hand-written network by itself: other oracles than autograd, laws it must obey, and what it refuses."""

import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numpy_impl import Parameters, forward, loss_and_grads, mlp
from numpy_impl.validation import is_well_formed
from tests.comparing import draw, parameters_of
from torch_ref import Shapes
from torch_ref.precision import FLOAT64
from torch_ref.two_layers.cases import TwoLayerCases

SHAPES = Shapes(batch=(1, 16), inputs=(1, 5), hidden=(1, 6), outputs=(1, 4))
NAMES = "inputs", "targets", "W1", "B1", "W2", "B2"
# Of normal data: in the other kinds so much cancels that no two ways of computing agree to nine digits.
CASES = (
    TwoLayerCases(SHAPES)
    .strategy(FLOAT64)
    .map(lambda case: TwoLayerCases(SHAPES).draw(*case.sizes.values(), seed=case.seed))
)


def arguments(case):
    return [*case.arguments.values()]


def assert_close(actual, expected, rtol=1e-9):
    """Relative to the largest element: sums that cancel are good to nothing better."""
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=0, atol=rtol * max(np.abs(e).max(), 1e-3))


def complex_step(inputs, targets, parameters):
    """∂L/∂p = Im L(p + ih) / h, exact to rounding; it knows neither the chain rule nor torch."""
    h = 1e-30

    def loss(moved):
        S2 = mlp.stages(inputs, *moved).S2
        t = targets.T
        return -(t * np.log(S2) + (1 - t) * np.log(1 - S2)).mean()

    grads = []
    for position, array in enumerate(parameters):
        grad = np.zeros_like(array)
        for index in np.ndindex(array.shape):
            moved = [p.astype(complex) for p in parameters]
            moved[position][index] += 1j * h
            grad[index] = loss(moved).imag / h
        grads.append(grad)
    return grads


@given(case=CASES)
def test_gradients_match_complex_step_differentiation(case):
    _, grads = loss_and_grads(*arguments(case))
    assert_close(
        grads, complex_step(case.arguments["inputs"], case.arguments["targets"], list(parameters_of(case).values()))
    )


@given(case=CASES, reduction=st.sampled_from(["mean", "sum"]), data=st.data())
def test_the_order_of_the_batch_does_not_matter(case, reduction, data):
    order = data.draw(st.permutations(range(len(case.arguments["inputs"]))))
    x, t, *parameters = arguments(case)
    loss, grads = loss_and_grads(x, t, *parameters, reduction=reduction)
    shuffled_loss, shuffled = loss_and_grads(x[order], t[order], *parameters, reduction=reduction)
    assert_close([shuffled_loss, *shuffled], [loss, *grads])


@given(case=CASES, rest=st.integers(1, 8))
def test_the_sum_over_two_batches_is_the_sum_of_their_sums(case, rest):
    x, t, *parameters = arguments(case)
    more = draw(rest, x.shape[1], 1, t.shape[1], seed=case.seed)
    whole = loss_and_grads(
        np.vstack([x, more.arguments["inputs"]]),
        np.vstack([t, more.arguments["targets"]]),
        *parameters,
        reduction="sum",
    )
    first = loss_and_grads(x, t, *parameters, reduction="sum")
    second = loss_and_grads(more.arguments["inputs"], more.arguments["targets"], *parameters, reduction="sum")
    assert_close([whole[0]], [first[0] + second[0]])
    assert_close(whole[1], [a + b for a, b in zip(first[1], second[1], strict=True)], rtol=1e-8)


@given(case=CASES, data=st.data())
def test_permuted_hidden_units_have_permuted_gradients(case, data):
    x, t, W1, B1, W2, B2 = arguments(case)
    order = data.draw(st.permutations(range(len(W1))))
    loss, (dL_dW1, dL_dB1, dL_dW2, dL_dB2) = loss_and_grads(x, t, W1, B1, W2, B2)
    permuted_loss, permuted = loss_and_grads(x, t, W1[order], B1[order], W2[:, order], B2)
    assert_close([permuted_loss, *permuted], [loss, dL_dW1[order], dL_dB1[order], dL_dW2[:, order], dL_dB2])


@given(case=CASES)
def test_the_mean_is_the_sum_over_batch_times_out(case):
    loss, grads = loss_and_grads(*arguments(case), reduction="mean")
    total, totals = loss_and_grads(*arguments(case), reduction="sum")
    terms = case.arguments["targets"].size
    assert_close([loss, *grads], [total / terms, *(dL_dp / terms for dL_dp in totals)])


@given(case=CASES)
def test_a_duplicated_batch_leaves_the_mean_alone_and_doubles_the_sum(case):
    x, t, *parameters = arguments(case)
    doubled = np.vstack([x, x]), np.vstack([t, t])
    for reduction, factor in ("mean", 1), ("sum", 2):
        loss, grads = loss_and_grads(x, t, *parameters, reduction=reduction)
        twice_loss, twice = loss_and_grads(*doubled, *parameters, reduction=reduction)
        assert_close([twice_loss, *twice], [factor * loss, *(factor * dL_dp for dL_dp in grads)])


@pytest.mark.parametrize("saturated", [False, True])
@given(seed=st.integers(0, 2**32 - 1))
def test_nothing_is_changed_and_twice_gives_the_same_bits(saturated, seed):
    case = draw(5, 3, 4, 2, seed=seed, saturated=saturated)
    before = [array.copy() for array in arguments(case)]
    for array in arguments(case):
        array.flags.writeable = False
    first_loss, first = loss_and_grads(*arguments(case))
    second_loss, second = loss_and_grads(*arguments(case))
    assert first_loss.tobytes() == second_loss.tobytes()
    assert [dL_dp.tobytes() for dL_dp in first] == [dL_dp.tobytes() for dL_dp in second]
    assert [array.tobytes() for array in before] == [array.tobytes() for array in arguments(case)]


@pytest.mark.parametrize("layout", ["fortran", "strided", "reversed", "list"])
def test_any_memory_layout(layout):
    relaid = {
        "fortran": np.asfortranarray,
        "strided": lambda array: np.repeat(np.repeat(array, 2, axis=0), 2, axis=1)[::2, ::2],
        "reversed": lambda array: array[::-1, ::-1].copy()[::-1, ::-1],
        "list": np.ndarray.tolist,
    }[layout]
    case = draw(5, 3, 4, 2, seed=0)
    loss, grads = loss_and_grads(*arguments(case))
    relaid_loss, relaid_grads = loss_and_grads(*map(relaid, arguments(case)))
    assert_close([relaid_loss, *relaid_grads], [loss, *grads], rtol=1e-14)


@pytest.mark.parametrize("name", NAMES)
def test_mixed_dtypes_promote_as_numpy_does(name):
    case = draw(5, 3, 4, 2, seed=0, dtype="float32")
    mixed = dict(zip(NAMES, arguments(case), strict=True))
    mixed[name] = mixed[name].astype("float64")
    _, grads = loss_and_grads(**mixed)
    assert np.result_type(*grads) == np.float64
    _, plain = loss_and_grads(*arguments(case))
    assert {dL_dp.dtype for dL_dp in plain} == {np.dtype("float32")}


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


@pytest.mark.parametrize("t", [0.0, 0.25, 1.0])
def test_the_two_factors_cancel_to_S2_minus_t_until_S2_saturates(t):
    def dL_dG2(G2):
        S1, S2 = np.ones((1, 1)), mlp.sigmoid(np.full((1, 1), G2))
        return S2 - t, mlp.backward(np.ones((1, 1)), np.full((1, 1), t), np.ones((1, 1)), S1, S2, terms=1).B2

    for G2 in (-27.0, -1.0, 0.0, 1.0, 27.0):
        cancelled, kept_apart = dL_dG2(G2)
        assert kept_apart == pytest.approx(cancelled, rel=1e-15)
    cancelled, kept_apart = dL_dG2(-30.0)
    assert 0 < kept_apart / cancelled < 0.1  # S2(1-S2) is 9e-14, less than EPSILON
    assert dL_dG2(40.0)[1] == 0  # S2 is 1
    with np.errstate(over="ignore"):
        assert dL_dG2(-800.0)[1] == 0  # S2 is 0


@pytest.mark.parametrize(("S2", "t"), [(1.0, 0.0), (0.0, 1.0)])
def test_the_largest_loss_of_a_prediction_is_100(S2, t):
    with np.errstate(divide="ignore"):
        assert mlp.cross_entropy(np.full((1, 1), S2), np.full((1, 1), t), terms=1) == 100


def test_from_generator_gives_any_widths():
    shapes = [array.shape for array in Parameters.from_generator(np.random.default_rng(0), 3, 5, 2)]
    assert shapes == [(5, 3), (5, 1), (2, 5), (2, 1)]


def test_importing_it_leaves_torch_alone():
    code = (
        "import sys, numpy_impl, numpy_impl.__main__; sys.exit('torch' in sys.modules or 'hypothesis' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603  # our own interpreter
