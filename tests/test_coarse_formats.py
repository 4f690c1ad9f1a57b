"""bfloat16 and float16: what a format does by itself is no mistake of anybody."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.test_coarse import COARSE, WIDTH
from torch_ref import Operator, check
from torch_ref.candidate.calling import InProcess
from torch_ref.coarse import replay
from torch_ref.comparison import compare
from torch_ref.precision import PRECISIONS
from torch_ref.result_rounding import ResultRounding

# What cries wolf if it is not minded: kinks, masks, what torch itself loses, what leaves the range, the model's dtype.


def draw_layer(rng, batch):
    return {"x": rng.standard_normal((batch, WIDTH)), "W": rng.standard_normal((WIDTH, 32))}


def kinked(x, W):
    return torch.relu(x @ W)


def attention(mask):
    def attend(q, k):
        length = q.shape[-2]
        hidden = torch.ones(length, length, dtype=torch.bool).triu(1)
        hidden[2] = True  # from this position nothing is seen
        scores = q @ k.mT / 2
        return mask(scores, hidden).softmax(-1) @ k

    return attend


def with_infinity(scores, hidden):
    return scores.masked_fill(hidden & ~hidden.all(-1, keepdim=True), -torch.inf)


def with_the_least(scores, hidden):
    return scores + torch.zeros_like(scores).masked_fill(hidden, torch.finfo(scores.dtype).min)


def draw_heads(rng, batch):
    return {name: rng.standard_normal((batch, 5, 4)) for name in ("q", "k")}


def draw_tokens(rng, batch):
    return {"tokens": rng.integers(0, 3, (batch, 99)), "W": rng.standard_normal((3, 4))}


def draw_linear(rng, batch):
    return {"x": rng.standard_normal((batch, 4)), "w": rng.standard_normal((1, 4)), "b": rng.standard_normal(1)}


WOLVES = {
    "a kink": (kinked, kinked, draw_layer),
    "a mask of -inf": (attention(with_infinity), attention(with_infinity), draw_heads),
    "a mask of finfo.min": (attention(with_the_least), attention(with_the_least), draw_heads),
    "torch sums in the format": (F.embedding, lambda tokens, W: F.embedding(tokens, W, None), draw_tokens),
    "a bias by itself": (F.linear, lambda x, w, b: x @ w.T + b, draw_linear),
    "the candidate does not": (F.embedding, lambda t, W: F.one_hot(t, 3).to(W.dtype) @ W, draw_tokens),
}


@COARSE
@pytest.mark.parametrize("wolf", WOLVES)
def test_right_code_is_not_blamed_for_what_the_format_does(wolf, dtype):
    reference, candidate, draw_arguments = WOLVES[wolf]
    report = check(candidate, reference=Operator(reference, draw_arguments), dtype=dtype, cases=20)
    assert report.passed, str(report)


def test_a_kink_that_one_rounding_does_not_reach_is_noise():
    """x a is 1.0034, which bfloat16 rounds to 1 or 1.0078: the ReLU is at 0 two roundings further down, at 0.9961."""

    def near_zero(x, a, c):
        return torch.relu(x * a - c)

    arguments = {"x": np.array([137 / 128]), "a": np.array([120 / 128]), "c": np.array([255 / 256])}
    reference = Operator(near_zero, lambda *_: arguments)
    case = reference.cases.draw(1, seed=0, precision=PRECISIONS["bfloat16"])
    truth = reference.evaluate(case.judged)
    *_, noise = replay(lambda: reference.evaluate(case.judged), truth, case.precision)
    assert noise["x"] >= abs(float(truth["x"][0])) > 0


@COARSE
@pytest.mark.parametrize("mask", [with_infinity, with_the_least])
def test_masks_survive_a_replay(mask, dtype):
    reference = Operator(attention(mask), draw_heads)
    case = reference.cases.draw(3, seed=0, precision=PRECISIONS[dtype])
    truth = reference.evaluate(case.judged)
    *_, noise = replay(lambda: reference.evaluate(case.judged), truth, case.precision)
    for name, array in truth.items():
        assert noise[name] < np.abs(array).max() / 4


def test_what_is_not_a_number_in_a_replay_may_be_anything():
    """Rounding makes a 0 of the difference, and NaN of what is divided by it."""

    def fragile(x):
        return (x - 1) / (x - 1)

    reference = Operator(fragile, lambda _, n: {"x": np.full(n, 1 + 2.0**-7)})
    case = reference.cases.draw(3, seed=0, precision=PRECISIONS["bfloat16"])
    truth = {"out": np.ones(3)}
    calls = iter([{"out": np.ones(3)}, {"out": np.full(3, np.nan)}])
    noises = replay(lambda: next(calls), truth, case.precision)
    assert [next(noises)["out"], next(noises)["out"]] == [0.0, np.inf]


def test_a_result_that_the_format_has_no_number_for_is_its_largest_or_infinite():
    square = Operator(lambda x: x * x, lambda _, n: {"x": np.full(n, 300.0)})  # 90,000 in a format that ends at 65,504
    case = square.cases.draw(2, seed=0, precision=PRECISIONS["float16"])
    for found, passes in ((np.inf, True), (65504.0, True), (60000.0, False), (-np.inf, False)):
        answer = lambda upstream, x, found=found: (np.full_like(x, found), (2 * x * upstream,))  # noqa: E731
        comparison = compare(InProcess(answer, ("out",), {}), case, square.evaluate)
        assert comparison.lines["out"].passed == passes, str(comparison)


def with_an_epsilon(x):
    return x / (x.abs() + torch.finfo(x.dtype).eps)


def by_hand(epsilon):
    def candidate(upstream, x):
        size = np.abs(x.astype(float)) + epsilon
        out, dx = x / size, upstream * epsilon / size**2
        return out.astype(x.dtype), (dx.astype(x.dtype),)

    return candidate


SMALL = Operator(with_an_epsilon, lambda rng, n: {"x": 0.05 * rng.standard_normal((n, 3))})


@COARSE
@pytest.mark.usefixtures("verdicts_alone")
def test_a_model_that_depends_on_its_dtype_is_compared_with_autograd_in_it(dtype):
    epsilon = torch.finfo(getattr(torch, dtype)).eps
    for candidate in (with_an_epsilon, by_hand(epsilon)):
        report = check(candidate, reference=SMALL, dtype=dtype, cases=4)
        assert report.passed, str(report)
        assert f"is compared with autograd in {dtype}" in str(report)
    case = SMALL.cases.draw(5, seed=0, precision=PRECISIONS[dtype]).in_own_format()
    for other in (0.0, epsilon / 8):
        wrong = compare(InProcess(by_hand(other), ("out",), {}), case, SMALL.evaluate)
        assert not any(line.passed for line in wrong.lines.values())


@COARSE
def test_replays_in_the_format_itself_leave_tensors_in_it(dtype):
    case = SMALL.cases.draw(3, seed=0, precision=PRECISIONS[dtype]).in_own_format()
    plain = SMALL.evaluate(case)
    with ResultRounding(case.precision, 0):
        moved = SMALL.evaluate(case)
    for name, array in plain.items():
        assert moved[name].dtype == array.dtype == PRECISIONS[dtype].array
        assert 0 < np.abs(moved[name] - array).max() < np.abs(array).max()
