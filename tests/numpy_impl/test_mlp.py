"""The hand-written network by itself: other oracles than autograd, and laws it must obey."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numpy_impl import Parameters, loss_and_grads, mlp
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
