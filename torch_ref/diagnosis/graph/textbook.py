"""What torch fuses, taken apart as a textbook has it: each term a node that can be left out, some under its name."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from torch_ref.diagnosis.graph.roles import Gradients, called
from torch_ref.diagnosis.graph.textbook_activations import (
    gelu,
    log_softmax,
    log_softmax_of,
    softmax,
    softmax_of,
    torchs,
)
from torch_ref.diagnosis.graph.textbook_convolution import convolution_backward
from torch_ref.diagnosis.graph.textbook_windows import (
    adaptive_average_pool,
    adaptive_max_pool,
    average_pool,
    max_pool,
    upsample,
)
from torch_ref.torch_private import operator_of, tracing

aten: Any = torch.ops.aten


@cache  # torch looks through all its operators to make its part: 0.02 s
def table() -> Mapping[Any, Callable[..., Any]]:
    """Every operator that is taken apart, and what it becomes."""
    tools = tracing()
    forward = tools.get_decompositions(
        [
            *(
                aten.native_layer_norm,
                aten.native_group_norm,
                aten.native_batch_norm,
                operator_of("_native_batch_norm_legit"),
            ),
            *(aten.nll_loss_forward, aten.addmm, aten.gelu, aten.silu),
            *(
                operator_of("_prelu_kernel"),
                aten.hardtanh,
                aten.leaky_relu,
                aten.cudnn_batch_norm,
                operator_of("_fused_rms_norm"),
            ),
        ]
    )
    own = {
        **forward,
        aten.native_layer_norm_backward.default: _layer_norm,
        aten.native_batch_norm_backward.default: _batch_norm,
        aten.native_group_norm_backward.default: _group_norm,
        operator_of("_softmax").default: softmax_of,
        operator_of("_log_softmax").default: log_softmax_of,
        operator_of("_softmax_backward_data").default: softmax,
        operator_of("_log_softmax_backward_data").default: log_softmax,
        aten.convolution_backward.default: convolution_backward,
        aten.max_pool2d_with_indices_backward.default: max_pool,
        aten.avg_pool2d_backward.default: average_pool,
        operator_of("_adaptive_avg_pool2d_backward").default: adaptive_average_pool,
        aten.adaptive_max_pool2d_backward.default: adaptive_max_pool,
        aten.upsample_nearest2d_backward.default: upsample,
        operator_of("_trilinear").default: _trilinear,
        aten.gelu_backward.default: gelu,
        aten.lerp.Scalar: lambda a, b, weight: a + weight * (b - a),
    }
    kept = {op: how for op, how in torchs().items() if op is not aten.detach.default}  # a copy has one
    return MappingProxyType({**kept, **own})


def _standardized(
    g: Tensor, x: Tensor, mean: Tensor, rstd: Tensor, gamma: Tensor | None, dims: list[int]
) -> tuple[Tensor, Tensor]:
    """The gradient to x of N = (x - mean) rstd, mean and variance over dims; and N."""
    with called("the standardized input x̂", "x̂"):
        N = (x - mean) * rstd
    dN = g if gamma is None else g * gamma
    with called("the term that comes from the mean", "mean(γ g)"):
        from_mean = dN.mean(dims, keepdim=True)
    with called("the term that comes from the variance", "x̂ · mean(γ g x̂)"):
        from_variance = N * (dN * N).mean(dims, keepdim=True)
    return rstd * (dN - from_mean - from_variance), N


def _layer_norm(
    g: Tensor,
    x: Tensor,
    shape: Sequence[int],
    mean: Tensor,
    rstd: Tensor,
    gamma: Tensor | None,
    _beta: Tensor | None,
    mask: Sequence[bool],
) -> Gradients:
    kept = x.dim() - len(shape)
    rest = list(range(kept))
    dx, N = _standardized(g, x, mean, rstd, gamma, list(range(kept, x.dim())))
    return dx, (g * N).sum(rest) if mask[1] else None, g.sum(rest) if mask[2] else None


def _batch_norm(
    g: Tensor,
    x: Tensor,
    gamma: Tensor | None,
    _running_mean: Tensor | None,
    _running_var: Tensor | None,
    mean: Tensor,
    rstd: Tensor,
    train: bool,  # noqa: FBT001  # as torch has it
    _eps: float,
    mask: Sequence[bool],
) -> Gradients:
    if not train:
        return NotImplemented  # type: ignore[no-any-return]
    dims = [0, *range(2, x.dim())]
    mean, rstd, wide = (_wide(t, x) for t in (mean, rstd, torch.ones_like(mean) if gamma is None else gamma))
    dx, N = _standardized(g, x, mean, rstd, wide, dims)
    return dx, (g * N).sum(dims) if mask[1] else None, g.sum(dims) if mask[2] else None


def _wide(per_channel: Tensor, x: Tensor) -> Tensor:
    return per_channel.reshape(1, -1, *[1] * (x.dim() - 2))


def _group_norm(
    g: Tensor,
    x: Tensor,
    mean: Tensor,
    rstd: Tensor,
    gamma: Tensor | None,
    batch: int,
    _channels: int,
    _size: int,
    groups: int,
    mask: Sequence[bool],
) -> Gradients:
    grouped = (batch, groups, -1)
    dN = g if gamma is None else g * _wide(gamma, x)
    dx, N = _standardized(dN.reshape(grouped), x.reshape(grouped), mean[..., None], rstd[..., None], None, [2])
    rest = [0, *range(2, x.dim())]
    return dx.reshape(x.shape), (g * N.reshape(x.shape)).sum(rest) if mask[1] else None, g.sum(rest)


def _trilinear(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    new_a: Sequence[int],
    new_b: Sequence[int],
    new_c: Sequence[int],
    summed: Sequence[int],
    _unroll: int = 1,
) -> Tensor:
    """The products of elements of three tensors, each with some axes more, summed."""
    for axis in new_a:
        a = a.unsqueeze(axis)
    for axis in new_b:
        b = b.unsqueeze(axis)
    for axis in new_c:
        c = c.unsqueeze(axis)
    return (a * b * c).sum(list(summed))
