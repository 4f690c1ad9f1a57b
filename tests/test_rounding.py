"""The measured noise: perturbed as promised, everywhere, and large enough for what correct code may do."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from numpy_impl import loss_and_grads
from tests.comparing import case_of, compared, draw, parameters_of
from tests.correct import with_exponentials, with_the_shortcut
from tests.planted import draw_rows
from torch_ref import Operator, Reference, TwoLayers, check
from torch_ref.perturbation import DifferentRounding
from torch_ref.precision import FLOAT32, FLOAT64, PRECISIONS
from torch_ref.rounding import allowed, bound, from_arguments, noise, replay

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


@DTYPES
def test_each_element_is_kept_or_shrunk_by_2u_with_a_fair_coin(dtype):
    ones = torch.ones(10_000, dtype=getattr(torch, dtype))
    with DifferentRounding(0):
        perturbed = ones + 0
    shrunk = 1 - 2 * PRECISIONS[dtype].unit_roundoff
    assert set(perturbed.tolist()) == {1.0, shrunk}
    assert 4_700 < (perturbed == 1).sum() < 5_300  # six standard deviations


def test_every_operator_forward_and_backward_is_perturbed():
    """x y: each operand is 1 or 1 - 2u by its own coin, and so is each on the way back."""
    x, y = (torch.ones(10_000, dtype=torch.float64, requires_grad=True) for _ in range(2))
    with DifferentRounding(0):
        product = torch.mul(x, y)
        gradient, _ = torch.autograd.grad(product, (x, y), grad_outputs=torch.ones_like(x))
    assert len(product.detach().unique()) == 3
    assert len(gradient.unique()) >= 3
    assert not torch.equal(gradient, product)


def test_what_is_exact_is_not_perturbed():
    """Labels compared, tokens truncated, copies, and the exponent of a negative base."""
    labels, tokens = torch.ones(1_000, dtype=torch.float64), torch.full((1_000,), 3.0, dtype=torch.float64)
    with DifferentRounding(0):
        assert (labels == 1).all()
        assert (labels >= 1).all()
        assert (labels.clone() == 1).all()
        assert (tokens.long() == 3).all()
        assert (tokens.floor() == 3).all()
        assert (tokens % 3 == 0).all()
        assert torch.isfinite((-tokens) ** tokens).all()
        assert len(((-tokens) ** tokens).unique()) > 1


@DTYPES
def test_a_sigmoid_is_good_to_2u_however_small_it_is(dtype):
    """1 - S, or a tanh, knows no more of it; and it stays a probability."""
    g = torch.tensor([-60.0, 0.0, 60.0], dtype=getattr(torch, dtype)).repeat(1_000, 1)
    plain = torch.sigmoid(g)
    with DifferentRounding(0):
        moved = torch.sigmoid(g)
    two_u = 2 * PRECISIONS[dtype].unit_roundoff
    assert ((moved >= 0) & (moved <= 1)).all()
    assert moved[:, 0].max().item() == pytest.approx(two_u, rel=1e-6)
    for column in range(3):
        assert len(moved[:, column].unique()) >= 2
        assert (moved - plain)[:, column].abs().max().item() <= 2.5 * two_u


@DTYPES
@pytest.mark.parametrize("candidate", [with_exponentials, with_the_shortcut])
def test_a_small_loss_may_be_a_difference_of_two_large_logarithms(candidate, dtype):
    """log(1 + exp G) - G is wrong by a unit in the last place of G, here about 12, though it is small itself."""
    zero, one = np.zeros((1, 1), dtype), np.ones((1, 1), dtype)
    for g in np.linspace(8, 11.9, 8):
        for t in 0, 1:
            case = case_of(one, t * one, zero, zero, zero, (2 * t - 1) * one * one.dtype.type(g))
            comparison = compared(candidate, case, TwoLayers())
            assert comparison.passed, str(comparison)


def test_views_in_place_operators_and_integers_are_left_alone():
    x, ints = torch.ones(1_000, dtype=torch.float64), torch.ones(1_000, dtype=torch.int64)
    with DifferentRounding(0):
        assert (x.view(10, 100).t()).data_ptr() == x.data_ptr()
        x.mul_(2)
        doubled = ints * 2
    assert set(x.tolist()) == {2.0}
    assert set(doubled.tolist()) == {2}


@DTYPES
@given(seed=st.integers(0, 2**32 - 1))
def test_probabilities_stay_within_0_and_1(dtype, seed):
    p = torch.tensor([0.0, 1.0, 0.5], dtype=getattr(torch, dtype))
    with DifferentRounding(seed):
        moved = p + 0
    assert ((moved >= 0) & (moved <= 1)).all()


@DTYPES
def test_the_same_case_has_the_same_noise(dtype):
    case = draw(7, 3, 5, 2, seed=3, dtype=dtype)
    first, second = (noise(partial(TwoLayers().evaluate, case), TwoLayers().evaluate(case)) for _ in range(2))
    assert first == second
    assert all(amount > 0 for amount in first.values())


def test_the_noise_of_a_sum_that_cancels_is_that_of_its_terms():
    """1e8 + 1 - 1e8: the result is 1, its rounding errors are those of 1e8."""
    terms = torch.tensor([1e8, 1.0, -1e8], dtype=torch.float64)

    def evaluate():
        return {"sum": (terms * 1.0).sum().numpy()}

    assert 1e-9 < noise(evaluate, evaluate())["sum"] < 1e-7


def test_allowed_is_8_times_noise_plus_the_root_of_n_u_times_the_largest():
    double, single = FLOAT64, FLOAT32
    assert allowed(double, largest=3.0) == 8 * 3 * 2.0**-53
    assert allowed(double, largest=3.0, noise=1e-3) == 8 * (1e-3 + 3 * 2.0**-53)
    assert allowed(single, largest=3.0) == pytest.approx(8 * 3 * 2.0**-24, rel=1e-15)
    assert allowed(double, largest=3.0, terms=16) == 4 * allowed(double, largest=3.0)
    assert allowed(double, largest=0.0) == 8 * 2.0**-1022


@DTYPES
@pytest.mark.parametrize("saturated", [False, True])
def test_the_rest_of_autograd_is_as_before(dtype, saturated):
    """A measurement leaves no trace: no mode, no gradients, no random numbers drawn, no array changed."""
    case = draw(7, 3, 5, 2, seed=0, dtype=dtype, saturated=saturated)
    state, arrays = torch.get_rng_state(), [array.copy() for array in parameters_of(case).values()]
    evaluate = partial(TwoLayers().evaluate, case)
    before = evaluate()
    noise(evaluate, before)
    after = evaluate()
    assert {name: array.tobytes() for name, array in before.items()} == {n: a.tobytes() for n, a in after.items()}
    assert torch.equal(state, torch.get_rng_state())
    for array, copy in zip(parameters_of(case).values(), arrays, strict=True):
        np.testing.assert_array_equal(array, copy)


@DTYPES
@pytest.mark.parametrize("at_zero", [0.0, 0.5, 1.0])
def test_at_the_kink_of_a_relu_nobody_is_accused(at_zero, dtype):
    """Biases that cancel W x, so that every pre-activation is 0 within rounding: any slope from 0 to 1 is right."""
    reference = Reference(nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2)), F.mse_loss, draw_rows)
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


STEPPING = {
    "x // 1": lambda x: x // 1,
    "div, floor": lambda x: torch.div(x, 1, rounding_mode="floor"),
    "div, trunc": lambda x: torch.div(x, 2, rounding_mode="trunc"),
    "%": lambda x: x % 2,
    "frac": torch.frac,
    "round to tenths": lambda x: torch.round(x, decimals=1),
    "isin": lambda x: torch.isin(x, torch.arange(4.0, dtype=x.dtype)),
    "bucketize": lambda x: torch.bucketize(x, torch.arange(4.0, dtype=x.dtype)),
    "searchsorted": lambda x: torch.searchsorted(torch.arange(4.0, dtype=x.dtype), x, right=True),
    "one-hot": lambda x: torch.nn.functional.one_hot(x.long(), 8),
    "argmax": lambda x: x.argmax(),
    "histc": lambda x: torch.histc(x, 4, 0, 4),
    "sort": lambda x: x.sort(stable=True).indices,
    "mode": lambda x: x.mode().values,
    "a power": lambda x: (-1.0) ** x,
    "==": lambda x: x == x.round(),
}


@DTYPES
@pytest.mark.parametrize("step", STEPPING.values(), ids=STEPPING)
def test_computed_integers_are_rounded_compared_and_counted_as_what_they_are(step, dtype):
    """Labels times one are a few units off in a replay. What truncates or compares them gets the labels."""
    labels = torch.tensor([0.0, 3.0, 1.0, 2.0, 1.0, 3.0, 1.0], dtype=getattr(torch, dtype)).repeat(20)
    right = step(labels)
    for seed in range(4):
        with DifferentRounding(seed):
            computed = labels * 1.0 * 1.0
            assert (computed != labels).any().item() is False  # it compares, too
            stepped = step(computed)
        assert torch.equal(computed, labels) is False
        assert torch.allclose(stepped.double(), right.double(), rtol=1e-5)
        assert stepped.dtype == right.dtype


def test_a_fraction_stays_one_however_it_is_rounded():
    """Only what is within 16 u of an integer is that integer."""
    x = torch.tensor([0.5, 1.5, 2.999, 1e-9, -1e-9], dtype=torch.float64)
    with DifferentRounding(0):
        assert (x // 1).tolist() == [0, 1, 2, 0, -1]
        assert (x > 0).tolist() == [True, True, True, True, False]


def test_a_step_is_told_from_a_result_that_happens_to_be_an_integer():
    """A sum that is 3 in one call is perturbed in the next."""
    terms = torch.tensor([1.0, 2.0], dtype=torch.float64)
    sums = set()
    for seed in range(16):
        with DifferentRounding(seed):
            total = terms.sum()
        sums.add(total.item())
    assert len(sums) > 2


@DTYPES
def test_the_noise_is_three_eighths_of_the_root_mean_square_of_16_replays(dtype):
    case = draw(7, 3, 5, 2, seed=3, dtype=dtype)
    evaluate = partial(TwoLayers().evaluate, case)
    plain, squares = evaluate(), []
    for seed in range(16):
        with DifferentRounding(seed):
            squares.append({name: np.abs(array - plain[name]).max() ** 2 for name, array in evaluate().items()})
    *grown, last = replay(evaluate, plain)
    assert len(grown) == 16  # and one more, which finds no long sum
    for name, size in last.items():
        assert size == pytest.approx(3 / 8 * np.sqrt(np.mean([square[name] for square in squares])), rel=1e-5)
        assert (np.diff([noise[name] for noise in grown]) >= 0).all()


def test_coarse_replays_take_both_sides_of_a_kink_and_exceed_the_noise():
    """A sum that is 0 but for rounding, through a ReLU: whatever the coins, one of the two has slope 1."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        W, x = torch.from_numpy(rng.standard_normal(5)), torch.from_numpy(rng.standard_normal(5))
        b = -(W @ x)

        def evaluate(W=W, x=x, b=b):
            leaf = W.clone().requires_grad_()
            (grad,) = torch.autograd.grad(torch.relu(leaf @ x + b), leaf)
            return {"W": grad.numpy()}

        plain = evaluate()
        most = bound(evaluate, plain)["W"]
        assert most >= np.abs(x.numpy()).max() * 0.99
        assert most * (1 + 1e-12) >= noise(evaluate, plain)["W"]


def test_what_no_replay_can_explain_is_not_replayed_for_long():
    reference, evaluations = TwoLayers(), []
    case = draw(7, 3, 5, 2, seed=3)

    class Counted:
        results, options = reference.results, {}

        def evaluate(self, case):
            evaluations.append(case)
            return reference.evaluate(case)

    def wrong(*arrays):
        loss, grads = loss_and_grads(*arrays)
        return loss, tuple(2 * grad for grad in grads)

    comparison = compared(wrong, case, Counted())
    assert [line.passed for line in comparison.lines.values()] == [True, False, False, False, False]
    assert len(evaluations) == 7  # plain, the arguments, one replay, four coarse ones
    assert not compared(wrong, case, Counted(), lazy=False).passed


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

    reference = Reference(Stable(3, 2), F.mse_loss, draw_rows)
    for seed in range(20):
        case = reference.cases.draw(5, seed=seed)
        measured = noise(partial(reference.evaluate, case), plain := reference.evaluate(case))
        assert 0 < measured["weight"] < 1e-12 * np.abs(plain["weight"]).max()


@DTYPES
@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_by_itself_is_replayed_part_by_part(approximate, dtype):
    """At x = -4, 1 + tanh is 7e-5: what it rounds is large beside the result, and no operand of GELU shows it."""

    def gelu(upstream, x):
        tensor = torch.from_numpy(x)
        if approximate == "none":
            cdf = (1 + torch.erf(tensor / 2**0.5)) / 2
            slope = torch.exp(-(tensor**2) / 2) / (2 * torch.pi) ** 0.5
        else:
            squashed = torch.tanh((2 / torch.pi) ** 0.5 * (tensor + 0.044715 * tensor**3))
            cdf = (1 + squashed) / 2
            slope = (1 - squashed**2) / 2 * (2 / torch.pi) ** 0.5 * (1 + 3 * 0.044715 * tensor**2)
        return tensor * cdf, (torch.from_numpy(upstream) * (cdf + tensor * slope),)

    tail = Operator(partial(F.gelu, approximate=approximate), lambda rng, batch: {"x": rng.uniform(-5, -2, batch)})
    report = check(gelu, reference=tail, dtype=dtype, cases=100)
    assert report.passed, str(report)
    doubled = check(
        lambda *arrays: (gelu(*arrays)[0], (2 * gelu(*arrays)[1][0],)), reference=tail, dtype=dtype, cases=5
    )
    assert [finding.name for finding in doubled.findings] == ["2"]


@DTYPES
def test_a_sixth_that_torch_has_in_single_precision_is_no_mistake_of_others(dtype):
    """Torch's backward pass of the hardsigmoid multiplies by a float32 in float64 too."""

    def hardsigmoid(upstream, x, factor=1):
        inside = (x > -3) & (x < 3)
        return np.clip(x / 6 + 0.5, 0, 1), (np.where(inside, factor * upstream / 6, 0).astype(x.dtype),)

    reference = Operator(F.hardsigmoid, lambda rng, batch: {"x": 3 * rng.standard_normal((batch, 4))})
    assert check(hardsigmoid, reference=reference, dtype=dtype).passed
    wrong = partial(hardsigmoid, factor=1 + 1e-5)
    assert not check(wrong, reference=reference, dtype=dtype, cases=10).passed


@DTYPES
def test_arguments_lose_their_last_bits_and_what_is_exact_or_equal_stays_that(dtype):
    case = draw(7, 3, 5, 2, seed=3, dtype=dtype)
    row, exact = case.arguments["inputs"][0], [0.0, 1.0, -3.0]
    case.arguments["inputs"][1] = row
    case.arguments["inputs"][2] = exact
    seen = []

    def evaluate(moved):
        seen.append(moved.arguments)
        return {"inputs": moved.arguments["inputs"]}

    grown = list(from_arguments(evaluate, case, {"inputs": case.arguments["inputs"]}))
    u, most = PRECISIONS[dtype].unit_roundoff, 0.0
    for unit, moved, least in zip((1, 2, 4), seen, grown, strict=True):
        change = np.abs(moved["inputs"] - case.arguments["inputs"])
        assert (moved["inputs"][0] == moved["inputs"][1]).all()
        assert moved["inputs"][2].tolist() == exact
        assert 0 < change.max() < 4 * unit * u * np.abs(case.arguments["inputs"]).max()
        most = max(most, 3 / 8 * change.max() / unit)
        assert least == {"inputs": most}
    assert case.arguments["inputs"][0].tolist() == row.tolist()  # the case itself is as it was


@DTYPES
def test_arguments_without_axes_without_elements_and_of_integers_are_arguments_too(dtype):
    def draw_any(rng, batch):
        return {"x": rng.standard_normal(()), "none": np.zeros((0, 3)), "rows": rng.integers(0, 9, batch)}

    reference = Operator(lambda x, none, rows: x * rows + none.sum(), draw_any, constant=("none",))
    case = reference.cases.draw(5, seed=0, precision=PRECISIONS[dtype])
    plain = reference.evaluate(case)
    *_, least = from_arguments(reference.evaluate, case, plain)
    assert 0 < least["out"] < 1e-6 * np.abs(plain["out"]).max()

    def doubled(upstream, x, none, rows):
        assert not none.size
        return (x * rows).astype(x.dtype), (np.asarray(2 * (upstream * rows).sum(), x.dtype),)

    comparison = compared(doubled, case, reference)
    assert [name for name, line in comparison.lines.items() if not line.passed] == ["x"]


@DTYPES
def test_what_is_allowed_before_any_replay_is_hardly_ever_more_than_after_all(dtype):
    reference, more = TwoLayers(), []
    for seed in range(40):
        case = draw(1 + seed % 16, 1 + seed % 5, 1 + seed % 8, 1 + seed % 3, seed=seed, dtype=dtype)
        plain = reference.evaluate(case)
        most = noise(partial(reference.evaluate, case), plain)
        *_, least = from_arguments(reference.evaluate, case, plain)
        for name, array in plain.items():
            early, late = (allowed(case.precision, np.abs(array).max(), of[name], case.terms) for of in (least, most))
            more.append(early / late)
    assert max(more) < 1.5
    assert np.mean(np.array(more) > 1) < 0.05
    assert np.median(more) > 0.2  # it explains something


def test_a_small_cross_entropy_moves_to_either_side():
    """By what log(1 - S) is off, in code that takes it: 2u times log S, which no rounding of S moves so far."""
    sigmoid, label = torch.tensor([1e-10], dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    plain = F.binary_cross_entropy(sigmoid, label)
    moved = []
    for seed in range(8):
        with DifferentRounding(seed):
            moved.append(float(F.binary_cross_entropy(sigmoid, label) - plain))
    assert min(moved) < -1e-15
    assert max(moved) > 1e-15


def test_a_quotient_of_integers_is_floored_as_one_whatever_the_operator_did_before():
    numbers = torch.arange(1.0, 101.0, dtype=torch.float64)
    with DifferentRounding(0):
        torch.div(numbers, 3, rounding_mode=None)
        assert torch.equal(torch.div(3 * numbers, numbers, rounding_mode="floor"), torch.full_like(numbers, 3))
