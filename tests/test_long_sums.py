"""Long sums: right code passes however it adds up, at half of what is allowed or less; wrong code does not."""

import numpy as np
import pytest
from torch import nn
from torch.nn import functional as F

from tests.comparing import compared
from torch_ref import Reference, TwoLayers, check
from torch_ref.precision import PRECISIONS

pytestmark = pytest.mark.usefixtures("noise_measured_once")

DTYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])


def loop(terms):
    total = np.zeros_like(terms[0])
    for term in terms:
        total = total + term
    return total


def pairwise(terms):
    while len(terms) > 1:
        half = len(terms) // 2
        terms = np.concatenate([terms[:half] + terms[half : 2 * half], terms[2 * half :]])
    return terms[0]


# Of the terms, (n, ...), the sum, (...).
SUMS = {
    "loop": loop,
    "cumsum": lambda terms: np.cumsum(terms, axis=0)[-1],
    "reversed": lambda terms: loop(terms[::-1]),
    "pairwise": pairwise,
    "einsum": lambda terms: np.einsum("n...->...", terms),
    "matmul": lambda terms: np.tensordot(np.ones(len(terms), terms.dtype), terms, 1),
    "sum": lambda terms: terms.sum(axis=0),
    "float64 inside": lambda terms: terms.astype(float).sum(axis=0).astype(terms.dtype),
}
TOTALS = pytest.mark.parametrize("total", SUMS.values(), ids=SUMS)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def two_layers(total):
    """The built-in network, each sum over the batch being `total`."""

    def candidate(x, t, W1, B1, W2, B2):
        S1 = sigmoid(x @ W1.T + B1.T)  # (batch, hidden)
        S2 = sigmoid(S1 @ W2.T + B2.T)  # (batch, out)
        size = x.dtype.type(t.size)
        dG2 = (S2 - t) / size
        dG1 = dG2 @ W2 * S1 * (1 - S1)
        loss = -total((t * np.log(S2) + (1 - t) * np.log(1 - S2)).ravel()) / size
        dW1, dW2 = total(dG1[:, :, None] * x[:, None]), total(dG2[:, :, None] * S1[:, None])
        return loss, (dW1, total(dG1)[:, None], dW2, total(dG2)[:, None])

    return candidate


def linear(total):
    """A linear layer and the mean squared error, each sum over the inputs or the batch being `total`."""

    def candidate(x, t, W, b):
        d = total((x[:, None] * W).transpose(2, 0, 1)) + b - t  # (batch, out)
        size = x.dtype.type(t.size)
        dy = 2 * d / size
        return total(d.ravel() ** 2) / size, (total(dy[:, :, None] * x[:, None]), total(dy))

    return candidate


def classes(total):
    """A linear layer and the cross-entropy, each sum over the classes or the batch being `total`."""

    def candidate(x, labels, W, b):
        rows = np.arange(len(x))
        Z = x @ W.T + b
        E = np.exp(Z - Z.max(1, keepdims=True))
        sums = total(E.T)[:, None]
        log_P = Z - Z.max(1, keepdims=True) - np.log(sums)
        dZ = E / sums
        dZ[rows, labels] -= 1
        dZ /= x.dtype.type(len(x))
        return -total(log_P[rows, labels]) / x.dtype.type(len(x)), (dZ.T @ x, total(dZ))

    return candidate


def convolution(total):
    """A 3 × 3 convolution of one channel and the mean squared error, each sum over the pixels being `total`."""

    def candidate(x, t, K, b):
        _, channels, height, width = t.shape
        padded = np.pad(x[:, 0], ((0, 0), (1, 1), (1, 1)))
        patches = np.stack([padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)], -1)
        d = np.einsum("nhwk,ok->nohw", patches, K.reshape(channels, 9)) + b[:, None, None] - t
        dy = (2 * d / x.dtype.type(d.size)).transpose(0, 2, 3, 1).reshape(-1, channels)  # (pixels, out)
        dK = np.stack([total(dy[:, o, None] * patches.reshape(-1, 9)) for o in range(channels)])
        return total(d.ravel() ** 2) / x.dtype.type(d.size), (dK.reshape(K.shape), total(dy))

    return candidate


def normal(*shape):
    return lambda rng, batch: rng.standard_normal((batch, *shape))


def reference(model, loss, inputs, targets, batch):
    return Reference(model, loss, lambda rng, n: (inputs(rng, n), targets(rng, n)), (batch, batch))


# The reference, the sizes of a case, and what makes a candidate of a sum.
LONG = {
    "two layers, 4,096 samples": lambda: (TwoLayers(), (4096, 3, 4, 2), two_layers),
    "4,096 samples": lambda: (reference(nn.Linear(3, 2), F.mse_loss, normal(3), normal(2), 4096), (4096,), linear),
    "784 inputs": lambda: (reference(nn.Linear(784, 3), F.mse_loss, normal(784), normal(3), 5), (5,), linear),
    "4,096 inputs": lambda: (reference(nn.Linear(4096, 3), F.mse_loss, normal(4096), normal(3), 5), (5,), linear),
    "a vocabulary of 32,000": lambda: (
        reference(nn.Linear(4, 32_000), F.cross_entropy, normal(4), lambda rng, n: rng.integers(0, 32_000, n), 6),
        (6,),
        classes,
    ),
    "images of 64 by 64": lambda: (
        reference(nn.Conv2d(1, 2, 3, padding=1), F.mse_loss, normal(1, 64, 64), normal(2, 64, 64), 4),
        (4,),
        convolution,
    ),
}


@DTYPES
@pytest.mark.parametrize("make", LONG.values(), ids=LONG)
def test_a_long_sum_is_right_in_any_order(make, dtype):
    """As the gate does it, and with all replays at half of what is allowed or less."""
    reference, sizes, candidate_of = make()
    for name, total in SUMS.items():
        case = reference.cases.draw(*sizes, seed=0, precision=PRECISIONS[dtype])
        comparison = compared(candidate_of(total), case, reference)
        assert comparison.passed, f"{name}: {comparison}"
    for total in (loop, SUMS["reversed"]):
        full = compared(candidate_of(total), case, reference, lazy=False)
        assert max(line.severity for line in full.lines.values()) <= 0.5, str(full)


def mean_output(total):
    """A linear layer and its mean output as the loss: each term of ∂L/∂b is 1/n."""

    def candidate(x, t, W, b):
        dy = np.full_like(t, 1 / t.size)
        return total((x @ W.T + b - t) / t.size)[0], (total(dy[:, :, None] * x[:, None]), total(dy))

    return candidate


@DTYPES
def test_equal_terms_are_right_one_after_another(dtype):
    """Each of 50,000 loses the same digits, so that the errors add up: to 40 √n u in float32."""
    mean = reference(nn.Linear(2, 1), lambda y, t: (y - t).mean(), normal(2), normal(1), 50_000)
    report = check(mean_output(loop), reference=mean, cases=1, dtype=dtype)
    assert report.passed, str(report)
    full = compared(mean_output(loop), mean.cases.draw(50_000, seed=0, precision=PRECISIONS[dtype]), mean, lazy=False)
    assert max(line.severity for line in full.lines.values()) <= 0.5, str(full)


def test_nearly_equal_terms_are_right_one_after_another():
    """∂L/∂B2 sums 65,536 numbers near -0.25, in a case that a long random run found."""
    case = TwoLayers().cases.draw(65_536, 3, 4, 2, seed=5034, precision=PRECISIONS["float32"])
    comparison = compared(two_layers(SUMS["cumsum"]), case, TwoLayers())
    assert comparison.passed, str(comparison)


def test_terms_that_come_in_turn_are_right_lane_by_lane():
    """∂L/∂B2 sums four numbers in turn, 4,096 in all, that nearly cancel; each lane of einsum has one of them alone."""
    case = TwoLayers().cases.draw(4096, 2, 2, 1, seed=76, kind="binary")
    comparison = compared(two_layers(SUMS["einsum"]), case, TwoLayers())
    assert comparison.passed, str(comparison)


@DTYPES
@TOTALS
def test_a_dropped_sample_of_4096_is_still_seen(total, dtype):
    case = TwoLayers().cases.draw(4096, 3, 4, 2, seed=2, precision=PRECISIONS[dtype])
    wrong = compared(two_layers(lambda terms: total(terms[:-1])), case, TwoLayers())
    assert not any(line.passed for line in wrong.lines.values()), str(wrong)


@pytest.mark.parametrize("name", ["loss", "W1", "B1", "W2", "B2"])
def test_a_billionth_too_much_is_still_seen(name):
    """In float64, in one gradient of 4,096 samples."""
    case = TwoLayers().cases.draw(4096, 3, 4, 2, seed=2)

    def candidate(*arrays):
        loss, grads = two_layers(loop)(*arrays)
        answer = dict(zip(("loss", *case.differentiated), (loss, *grads), strict=True))
        answer[name] = answer[name] * (1 + 1e-9)
        return answer.pop("loss"), tuple(answer.values())

    wrong = compared(candidate, case, TwoLayers())
    assert [name for name, line in wrong.lines.items() if not line.passed] == [name]


def test_images_at_the_default_batch_are_not_accused():
    """In float32 autograd itself is further off the truth than a candidate that is right."""
    model = nn.Conv2d(1, 2, 3, padding=1)
    reference = Reference(model, F.mse_loss, lambda rng, n: (normal(1, 64, 64)(rng, n), normal(2, 64, 64)(rng, n)))
    for batch in (1, 7, 16):
        case = reference.cases.draw(batch, seed=batch, precision=PRECISIONS["float32"])
        comparison = compared(convolution(SUMS["float64 inside"]), case, reference)
        assert comparison.passed, str(comparison)
