"""Sums in any order: as far off as one taken term by term, whatever operator sums, and exact for integers."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from torch_ref.any_order import SumsInAnyOrder, decomposes
from torch_ref.torch_private import DECOMPOSITIONS

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
U = {torch.float32: 2.0**-24, torch.float64: 2.0**-53}


def normal(*shape, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


def changes(function, *operands, seeds=8):
    """How far each of a function's results moves in replays, and its own size."""
    plain = function(*operands)
    moved = []
    for seed in range(seeds):
        with SumsInAnyOrder(seed) as mode:
            moved.append((function(*operands) - plain).abs().max().item())
        assert mode.found
    return np.array(moved), plain.abs().max().item()


@DTYPES
def test_a_sum_moves_by_the_first_order_error_of_a_sequential_sum(dtype):
    """The root mean square of Σ ±u Sₖ, over the partial sums Sₖ, from either end."""
    x = normal(4096, dtype=dtype).abs()
    moved, _ = changes(torch.sum, x, seeds=16)
    expected = U[dtype] * np.sqrt(np.mean([(s.double().cumsum(0) ** 2).sum().item() for s in (x, x.flip(0))]))
    assert np.sqrt(np.mean(moved**2)) == pytest.approx(expected, rel=0.5)


@DTYPES
def test_equal_terms_lose_the_same_digits(dtype):
    """In a sequential sum, all terms that are equal do. So the errors add up: in a sum and in a product."""
    terms = torch.full((50_000,), 1 / 50_000, dtype=dtype)
    signs = normal(50_000, 1, dtype=dtype).sign()
    off = abs(np.cumsum(terms.numpy())[-1] - terms.double().sum().item())
    sums, size = changes(torch.sum, terms)
    products, _ = changes(torch.mm, terms * signs.T, signs)
    assert off > 5_000 * U[dtype] * size
    assert min(sums.max(), products.max()) == pytest.approx(off, rel=0.5)


# What is summed in each: 4,096 terms, or as many as there are.
SUMMING = {
    "sum": lambda x: x.sum(),
    "sum of rows": lambda x: x.sum(0),
    "mean": lambda x: x.mean((0, 1)),
    "nansum": lambda x: x.nansum(),
    "cumsum": lambda x: x.cumsum(0),
    "matrix product": lambda x: x.T @ x,
    "matrix times vector": lambda x: x.T @ x[:, 0],
    "dot": lambda x: x[:, 0] @ x[:, 1],
    "linear": lambda x: F.linear(x.T, x.T, x[:4, 0]),
    "einsum": lambda x: torch.einsum("bi,bj->ij", x, x),
    "times a sparse matrix": lambda x: x.T @ x.to_sparse(),
    "a sparse matrix times": lambda x: x.T.to_sparse() @ x,
    "batched": lambda x: torch.bmm(x.T[None], x[None]),
    "addbmm": lambda x: torch.addbmm(x[:4, :4], x.T[None], x[None]),
    "addmm in place": lambda x: x[:4, :4].clone().addmm_(x.T, x),
    "logsumexp": lambda x: x.logsumexp(0),
    "softmax": lambda x: x.softmax(0),
    "log-softmax": lambda x: x.log_softmax(0),
    "norm": lambda x: x.norm(),
    "variance": lambda x: x.var(0),
    "cross-entropy": lambda x: F.cross_entropy(x.T, torch.arange(4)),
    "mean squared error": lambda x: F.mse_loss(x, x.flip(0)),
    "layer norm": lambda x: F.layer_norm(x.T, (4096,)),
    "batch norm": lambda x: F.batch_norm(x, None, None, training=True),
    "group norm": lambda x: F.group_norm(x.T[None], 2),
    "rms norm": lambda x: F.rms_norm(x.T, (4096,)),
    "average pool": lambda x: F.avg_pool2d(x.reshape(1, 4, 64, 64), 16),
    "adaptive pool": lambda x: F.adaptive_avg_pool2d(x.reshape(1, 4, 64, 64), 3),
    "convolution": lambda x: F.conv2d(x.reshape(1, 4, 64, 64), x[:72].reshape(2, 4, 6, 6)),
    "transposed convolution": lambda x: F.conv_transpose2d(x.reshape(1, 4, 64, 64), x[:72].reshape(4, 2, 6, 6)),
    "index_add": lambda x: torch.zeros(2, 4, dtype=x.dtype).index_add(0, torch.arange(4096) % 2, x),
    "index_add in place": lambda x: torch.zeros(2, 4, dtype=x.dtype).index_add_(0, torch.arange(4096) % 2, x),
    "scatter_add": lambda x: torch.zeros(4, dtype=x.dtype).scatter_add(0, torch.arange(4096) % 4, x[:, 0]),
    "index_put": lambda x: torch.zeros(2, 4, dtype=x.dtype).index_put((torch.arange(4096) % 2,), x, accumulate=True),
    "attention": lambda x: F.scaled_dot_product_attention(*x.reshape(1, 2, 512, 16)[None].unbind(0) * 3),
    "cdist": lambda x: torch.cdist(x.T, x.T + 1),
}


@DTYPES
@pytest.mark.parametrize("function", SUMMING.values(), ids=SUMMING)
def test_whatever_sums_moves_and_stays_as_accurate_as_the_operator(function, dtype):
    """More than a few units, and no more than 4,096 terms taken in a row, on every operand, may be off."""
    moved, size = changes(function, normal(4096, 4, dtype=dtype))
    assert U[dtype] * size < moved.max()
    assert moved.max() < 4096 * U[dtype] * max(size, 1)


GRADIENTS = {
    "of a convolution": (lambda x, k: F.conv2d(x, k, padding=1), (2, 3, 32, 32), (4, 3, 3, 3)),
    "of a transposed one": (F.conv_transpose2d, (2, 3, 32, 32), (3, 4, 3, 3)),
    "of an embedding": (lambda x, w: F.embedding(torch.arange(512) % 8, w) * x, (512, 4), (8, 4)),
    "of rows by index": (lambda x, w: w[torch.arange(512) % 8] * x, (512, 4), (8, 4)),
    "of a layer norm": (lambda x, w: F.layer_norm(x, (64,), w), (64, 64), (64,)),
    "of a batch norm": (lambda x, w: F.batch_norm(x, None, None, w, training=True), (64, 64), (64,)),
    "of a softmax": (lambda x, w: (x * w).softmax(0), (64, 64), (64,)),
}


@pytest.mark.parametrize(("function", "first", "second"), GRADIENTS.values(), ids=GRADIENTS)
def test_so_do_the_gradients(function, first, second):
    operands = [normal(*first).requires_grad_(), normal(*second).requires_grad_()]

    def gradients(*operands):
        outputs = function(*operands)
        return torch.autograd.grad(
            (outputs * torch.sin(torch.arange(outputs.numel()).view_as(outputs))).sum(), operands
        )

    for position in range(2):
        moved, size = changes(lambda *operands: gradients(*operands)[position], *operands)  # noqa: B023  # called here
        assert moved.max() < 4096 * U[torch.float64] * size
    assert moved.max() > 0


EXACT = {
    "sum": lambda x: x.sum(),
    "sum of rows": lambda x: x.sum(1),
    "cumsum": lambda x: x.cumsum(0),
    "mean": lambda x: x.mean(0),
    "slice": lambda x: x.reshape(-1)[::2],
    "cat": lambda x: torch.cat([x, x.flip(0)]),
    "index": lambda x: x[torch.arange(9) % 3],
    "max-pool": lambda x: F.max_pool1d(x.T, 4),
    "relu": lambda x: x.relu(),
    "sort": lambda x: x.sort().values,
    "copy": lambda x: x.clone().copy_(x),
}


@pytest.mark.parametrize("function", EXACT.values(), ids=EXACT)
def test_sums_of_integers_and_what_only_moves_elements_are_exact(function):
    x = torch.arange(4096.0, dtype=torch.float64).reshape(1024, 4)
    with SumsInAnyOrder(0) as mode:
        assert torch.equal(function(x), function(x))
        assert not mode.found
    result = function(x)
    with SumsInAnyOrder(1):
        assert torch.equal(function(x), result)


@pytest.mark.parametrize(
    ("convolution", "shape"), [(F.conv1d, (1, 32, 1)), (F.conv_transpose1d, (32, 1, 1))], ids=["plain", "transposed"]
)
def test_a_convolution_sums_over_its_inputs(convolution, shape):
    """32 of them into one output, each weighted by one number."""
    with SumsInAnyOrder(0) as mode:
        convolution(normal(1, 32, 4), normal(*shape))
    assert mode.found


@pytest.mark.parametrize("mask", [-torch.inf, torch.finfo(torch.float64).min])
def test_what_masks_are_made_of_stays_what_it_is(mask):
    x = normal(64)
    x[7] = mask
    with SumsInAnyOrder(0) as mode:
        assert x.sum() == mask
    assert mode.found


def test_short_sums_are_left_alone():
    """Fewer than 32 terms."""
    for terms, found in ((31, False), (32, True)):
        with SumsInAnyOrder(0) as mode:
            normal(terms).sum()
        assert mode.found == found


def test_a_decomposition_need_not_round_as_the_operator_does():
    operands, operator = (normal(64, 64), [64], None, None, 1e-5), torch.ops.aten.native_layer_norm.default
    whole, parts = operator(*operands)[0], DECOMPOSITIONS[operator](*operands)[0]
    assert not torch.equal(whole, parts)
    assert decomposes(operator, operands, {})
