"""What torch fuses, taken apart as a textbook has it: each term a node that can be left out, some under its name."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from torch_ref.torch_private import tracing

aten: Any = torch.ops.aten
Gradients: TypeAlias = tuple[Tensor | None, ...]


def table() -> dict[Any, Callable[..., Any]]:
    """Every operator that is taken apart, and what it becomes."""
    tools = tracing()
    forward = tools.get_decompositions(
        [
            *(aten.native_layer_norm, aten.native_group_norm, aten.native_batch_norm, aten._native_batch_norm_legit),  # noqa: SLF001  # operators
            *(aten.nll_loss_forward, aten.addmm, aten.gelu, aten.silu),
            *(aten._prelu_kernel, aten.hardtanh, aten.leaky_relu, aten.cudnn_batch_norm, aten._fused_rms_norm),  # noqa: SLF001
        ]
    )
    return {
        **tools.core_aten_decompositions(),
        **forward,
        aten.native_layer_norm_backward.default: _layer_norm,
        aten.native_batch_norm_backward.default: _batch_norm,
        aten.native_group_norm_backward.default: _group_norm,
        aten._softmax.default: _softmax_of,  # noqa: SLF001
        aten._log_softmax.default: _log_softmax_of,  # noqa: SLF001
        aten._softmax_backward_data.default: _softmax,  # noqa: SLF001
        aten._log_softmax_backward_data.default: _log_softmax,  # noqa: SLF001
        aten.convolution_backward.default: _convolution,
        aten.max_pool2d_with_indices_backward.default: _max_pool,
        aten.lerp.Scalar: lambda a, b, weight: a + weight * (b - a),
    }


def _named(role: str, symbol: str) -> Any:
    """While entered, what is computed has this name, and this symbol in formulas."""
    return tracing().annotate({"role": role, "symbol": symbol})


def _standardized(
    g: Tensor, x: Tensor, mean: Tensor, rstd: Tensor, gamma: Tensor | None, dims: list[int]
) -> tuple[Tensor, Tensor]:
    """The gradient to x of N = (x - mean) rstd, mean and variance over dims; and N."""
    with _named("the standardized input x̂", "x̂"):
        N = (x - mean) * rstd
    dN = g if gamma is None else g * gamma
    with _named("the term that comes from the mean", "mean(γ g)"):
        from_mean = dN.mean(dims, keepdim=True)
    with _named("the term that comes from the variance", "x̂ · mean(γ g x̂)"):
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


def _softmax_of(x: Tensor, dim: int, _half_to_float: bool) -> Tensor:  # noqa: FBT001  # as torch has it
    """The largest of all is taken off, not that of each row: so another axis is another sum and nothing else."""
    exponentials = (x - x.amax()).exp()
    return exponentials / exponentials.sum(dim, keepdim=True)


def _log_softmax_of(x: Tensor, dim: int, _half_to_float: bool) -> Tensor:  # noqa: FBT001  # likewise
    shifted = x - x.amax()
    return shifted - shifted.exp().sum(dim, keepdim=True).log()


def _softmax(g: Tensor, y: Tensor, dim: int, _dtype: torch.dtype) -> Tensor:
    with _named("the diagonal of the Jacobian", "y · g"):
        diagonal = g * y
    with _named("the part of the Jacobian off its diagonal", "y · Σ (y · g)"):
        rest = y * diagonal.sum(dim, keepdim=True)
    return diagonal - rest


def _log_softmax(g: Tensor, y: Tensor, dim: int, _dtype: torch.dtype) -> Tensor:
    with _named("the softmax part", "softmax · Σ g"):
        rest = y.exp() * g.sum(dim, keepdim=True)
    return g - rest


def _max_pool(
    g: Tensor,
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    _dilation: Sequence[int],
    _ceil: bool,  # noqa: FBT001  # as torch has it
    indices: Tensor,
) -> Tensor:
    """Where windows do not overlap, and tile the input."""
    (height, width), (n, m) = kernel, g.shape[2:]
    if list(stride or kernel) != list(kernel) or any(padding) or x.shape[2:] != (n * height, m * width):
        return NotImplemented  # type: ignore[no-any-return]
    places = torch.arange(n * height * m * width).reshape(n, height, m, width)
    with _named("the mask of the largest", "(1 at the largest)"):
        largest = (places == indices[:, :, :, None, :, None]).to(g.dtype)
    return (g[:, :, :, None, :, None] * largest).reshape(x.shape)


def _convolution(
    g: Tensor,
    x: Tensor,
    w: Tensor,
    _bias: Sequence[int] | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,  # noqa: FBT001  # as torch has it
    output_padding: Sequence[int],
    groups: int,
    _mask: Sequence[bool],
) -> Gradients:
    """In 1 or 2 dimensions, in terms of padding, patches, products and sums."""
    if any(d != 1 for d in dilation) or any(output_padding) or g.dim() not in (3, 4):
        return NotImplemented  # type: ignore[no-any-return]
    if g.dim() == 3:  # as 2 dimensions, the first of size 1
        wide = [t.unsqueeze(2) for t in (g, x, w)]
        options: Any = [[one, *of] for one, of in ((1, stride), (0, padding), (1, dilation))]
        flat: Any = _convolution(  # type: ignore[call-arg]  # counted wrongly
            wide[0], wide[1], wide[2], None, *options, transposed, [0, *output_padding], groups, _mask
        )
        return flat if flat is NotImplemented else (flat[0].squeeze(2), flat[1].squeeze(2), flat[2])
    big, small = (g, x) if transposed else (x, g)
    patches = _patches(big, small, w, stride, padding, groups)  # batch, group, in, i, j, k, l
    per_group = small.reshape(len(small), groups, -1, 1, *small.shape[2:], 1, 1)
    with _named("the gradient to the kernel", "Σ g · patches"):
        dw = (per_group * patches[:, :, None]).sum((0, 4, 5)).reshape(w.shape)
    W = w.reshape(groups, -1, *w.shape[1:])  # group, out, in, k, l
    if transposed:
        dx = (patches[:, :, None] * W[None, :, :, :, None, None]).sum((3, 6, 7)).reshape(x.shape)
    else:
        dx = _full(g, x, W, stride, padding)
    return dx, dw, g.sum((0, 2, 3))


def _patches(
    big: Tensor, small: Tensor, w: Tensor, stride: Sequence[int], padding: Sequence[int], groups: int
) -> Tensor:
    (high, wide), (n, m) = padding, small.shape[2:]
    padded = aten.constant_pad_nd(big, [wide, wide, high, high], 0.0)
    unfolded = padded.unfold(2, w.shape[2], stride[0]).unfold(3, w.shape[3], stride[1])
    return unfolded.reshape(len(big), groups, -1, *unfolded.shape[2:])[:, :, :, :n, :m]  # type: ignore[no-any-return]


def _full(g: Tensor, x: Tensor, W: Tensor, stride: Sequence[int], padding: Sequence[int]) -> Tensor:
    """The gradient to the input: the gradient spread by the stride, padded, times the flipped kernel."""
    groups, (K, L), (n, m) = len(W), W.shape[3:], g.shape[2:]
    H, V = x.shape[2] + 2 * padding[0], x.shape[3] + 2 * padding[1]
    spread = aten.slice_scatter(g.new_zeros(*g.shape[:2], H - K + 1, m), g, 2, 0, n * stride[0], stride[0])
    spread = aten.slice_scatter(g.new_zeros(*g.shape[:2], H - K + 1, V - L + 1), spread, 3, 0, m * stride[1], stride[1])
    unfolded = aten.constant_pad_nd(spread, [L - 1, L - 1, K - 1, K - 1], 0.0).unfold(2, K, 1).unfold(3, L, 1)
    per_group = unfolded.reshape(len(g), groups, -1, 1, *unfolded.shape[2:])  # batch, group, out, 1, i, j, k, l
    with _named("the flipped kernel", "flipped kernel"):
        flipped = W.flip(3, 4)
    full = (per_group * flipped[None, :, :, :, None, None]).sum((2, 6, 7)).reshape(len(x), -1, H, V)
    return full[:, :, padding[0] : padding[0] + x.shape[2], padding[1] : padding[1] + x.shape[3]]  # type: ignore[no-any-return]
