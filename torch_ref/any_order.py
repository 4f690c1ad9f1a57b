"""Autograd with its sums in any order: what a loop, a cumulative sum or another matrix product rounds inside them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torch_ref.perturbation import Purse, aten, coins, integers, is_float, tensors
from torch_ref.torch_private import DECOMPOSITIONS, DispatchMode, out_of_place, writes

# Which operand is summed, and along which of its dimensions; None: those in the next argument, or all.
SUMS: dict[Any, tuple[int, tuple[int, ...] | None]] = {
    **dict.fromkeys((aten.sum, aten.mean, aten.nansum, aten.cumsum), (0, None)),
    **dict.fromkeys((aten.mm, aten.bmm, aten.mv, aten.dot), (0, (-1,))),
    **dict.fromkeys((aten.addmm, aten.baddbmm, aten.addmv), (1, (-1,))),
    aten.addbmm: (1, (0, -1)),
}
LANES = 8  # of a vector unit; what fewer or more make equal, these do too
SHORT = 32  # sums of fewer terms are left alone: what they round, an operand that is off by 2u shows as well
AGREED = 2**12  # u √n max|g|: a decomposition that is further off computes something else


class SumsInAnyOrder(DispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """While entered, every sum of 32 terms or more is off by what it rounds when it is taken one term after another.

    s = x₁ + x₂ + ... + xₙ, from the left, is Σ xᵢ (1 + dᵢ + ... + dₙ) with |d| <= u, a d for each partial sum (Higham,
    "Accuracy and Stability of Numerical Algorithms", 2002, 4.2). With d = ±u by fair coins the factors are a random
    walk. Every second seed sums from the right. A sum of integers is exact in any order.

    Equal terms do not round by coins. A partial sum has no place for the last digits of any of them, and what they lose
    adds up, to n u instead of √n u. So each term is rounded as it is when it is added, besides (`_lost`). Every other
    pair of seeds adds every 8th term first, as a vector unit does: of terms that come in turn, a lane has equal ones.

    Sums, matrix products and convolutions are known. Other operators are taken apart by torch's own decompositions,
    where these give what the operator gives. What is left - pooling, accumulating by index, a fused attention - gets on
    all its n operands what such a walk comes to, u √n, by a coin for each and one for all. What works element by
    element, or only moves elements, sums nothing.
    """

    def __init__(self, seed: int, unit_roundoff: float | None = None) -> None:
        super().__init__()
        self.unit_roundoff = unit_roundoff  # of sums kept in another format than the tensors'
        self.short = 2 if unit_roundoff else SHORT  # there operands are exact, and show nothing
        self.purse = Purse(seed)
        self.rng = np.random.default_rng(seed)
        self.from_left, self.scaled, self.lanes = seed % 2 == 0, seed > 1, (1, LANES)[seed // 2 % 2]
        self.found = False  # whether there was a sum

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        same = out_of_place(func) if writes(func) else func
        if func.is_view or same is None or not _may_sum(same, args, kwargs):
            return func(*args, **kwargs)
        result = self._summed(same, args, kwargs)
        return result if same is func else args[0].copy_(result)

    def _summed(self, func: Any, args: Any, kwargs: Any) -> Any:
        packet = func.overloadpacket
        if packet is aten.convolution_backward:
            return self._convolution_backward(func, *args)
        if packet is aten.convolution:
            inputs, weight, *rest = args
            return func(inputs, self._walked(weight, _inner(weight, outputs=1 if rest[4] else 0)), *rest)
        if packet in SUMS:
            return self._sum(func, args, kwargs)
        if decomposes(func, args, kwargs):
            with self:
                return DECOMPOSITIONS[func](*args, **kwargs)
        return func(*map(self._grown, args), **kwargs)

    def _sum(self, func: Any, args: Any, kwargs: Any) -> Any:
        position, dims = SUMS[func.overloadpacket]
        value, *rest = args[position:]
        if dims is None and integers(value):
            return func(*args, **kwargs)
        walked = self._walked(value, dims or (rest[0] if rest else None), lost=not dims)
        result = func(*args[:position], walked, *rest, **kwargs)
        if dims and walked is not value and result.numel():
            self._lose_in_a_column(result, value, rest[0].to_dense(), dims, kwargs.get("alpha", 1))
        return result

    def _lose_in_a_column(self, result: Tensor, value: Tensor, other: Tensor, dims: Sequence[int], alpha: Any) -> None:
        """Of the product of value and other, let any one column lose what its terms do: all would take too long."""
        if other.dim() > 1:
            index = int(self.rng.integers(other.shape[-1]))
            other, result = other[..., index].unsqueeze(-2), result[..., index]
        result += alpha * self._lost(_rows(value * other, dims)).sum(-1)

    def _convolution_backward(self, func: Any, grad: Tensor, inputs: Tensor, weight: Tensor, *rest: Any) -> Any:
        """The gradient of the inputs sums over the weight, those of the weight and the bias over what comes back."""
        *options, mask = rest
        walked = self._walked(weight, _inner(weight, outputs=0 if options[4] else 1))
        first, *_ = func(grad, inputs, walked, *options, [mask[0], False, False])
        _, *others = func(self._walked(grad, _inner(grad, outputs=1)), inputs, weight, *options, [False, *mask[1:]])
        return (first, *others)

    def _walked(self, value: Tensor, dims: Any, *, lost: bool = True) -> Tensor:
        """The operand of a sum along these dimensions, none or an empty list being all."""
        dims = [dims] if isinstance(dims, int) else list(dims or range(value.dim()))
        dense = value.layout is torch.strided
        if not (dims and dense and value.numel()) or (rows := _rows(value, dims)).shape[-1] < self.short:
            return value
        self.found = True
        walk = self._signs(rows).cumsum(-1)
        off = _off(rows, walk.flip(-1) if self.from_left else walk, self.unit_roundoff or _u(value))
        off = off + self._lost(rows) if lost else off
        last = list(range(-len(dims), 0))
        return off.view(value.movedim(dims, last).shape).movedim(last, dims)

    def _lost(self, rows: Tensor) -> Tensor:
        """Each term as a sequential sum adds it, rounded to the last place of the partial sum, less the term.

        Except in the first replay from either side, the terms are multiplied by a random number first, for code that
        has them times n, say: then they lose other digits.
        """
        scale = self.rng.uniform(0.5, 1) if self.scaled else 1.0
        order = torch.arange(rows.shape[-1]).remainder(self.lanes).argsort(stable=True)
        order = order if self.from_left else order.flip(0)
        terms = (rows.masked_fill(_masks(rows), 0) * scale)[..., order]
        sums = terms.cumsum(-1)
        return torch.empty_like(terms).index_copy_(-1, order, (sums - (sums - terms) - terms) / scale)

    def _grown(self, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [self._grown(item) for item in value]
        if not is_float(value) or value.numel() < self.short:
            return value
        self.found = True
        walk = self._signs(value) + self._signs(value.flatten()[:1])
        return _off(value, walk, (self.unit_roundoff or _u(value)) * value.numel() ** 0.5)

    def _signs(self, like: Tensor) -> Tensor:
        return 2 * self.purse.take(coins(like.dtype), like.shape) - 1


def _off(value: Tensor, walk: Tensor, unit: float) -> Tensor:
    """The value times 1 + unit · walk, but for what masks are made of: infinity, or the largest number."""
    return torch.where(_masks(value), value, torch.addcmul(value, value, walk, value=unit))


def _masks(value: Tensor) -> Tensor:
    return value.abs() > torch.finfo(value.dtype).max / 2


def _rows(value: Tensor, dims: Sequence[int]) -> Tensor:
    """What is summed along these dimensions, in the last one."""
    return value.movedim(tuple(dims), tuple(range(-len(dims), 0))).flatten(-len(dims))


def _may_sum(func: Any, args: Any, kwargs: Any) -> bool:
    """Whether the operator may add up elements of what it is given."""
    if torch.Tag.pointwise in func.tags or not any(map(is_float, tensors(args))):
        return False
    # A fused attention is said to be random, since it may drop out: it is asked nothing.
    known = func.overloadpacket in SUMS or torch.Tag.nondeterministic_seeded in func.tags
    return known or not _moves(func, args, kwargs)


def _moves(func: Any, args: Any, kwargs: Any) -> bool:
    """Whether it copies, selects and arranges elements, no more: then bent before or after is the same, bit by bit."""
    before, after = tensors(func(*_bent(args), **kwargs)), _bent(tensors(func(*args, **kwargs)))
    return all(torch.equal(one.to_dense(), other.to_dense()) for one, other in zip(before, after, strict=True))


def _bent(value: Any) -> Any:
    """An increasing function of each element that is no multiple of it and keeps signs, powers of 2 and 0."""
    if isinstance(value, list | tuple):
        return [_bent(item) for item in value]
    if not is_float(value):
        return value
    mantissa, exponent = torch.frexp(value)
    return torch.ldexp(mantissa + mantissa.sign() * (mantissa.abs() - 0.5) * (1 - mantissa.abs()), exponent)


def decomposes(func: Any, args: Any, kwargs: Any) -> bool:
    """Whether torch has a decomposition that gives what the operator gives: that of a fused attention does not."""
    if func not in DECOMPOSITIONS or torch.Tag.nondeterministic_seeded in func.tags:
        return False
    whole, parts = (tensors(function(*args, **kwargs)) for function in (func, DECOMPOSITIONS[func]))
    return len(whole) == len(parts) and all(map(_agree, whole, parts))


def _agree(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if not is_float(one):
        return torch.equal(one, other)
    few = AGREED * _u(one) * one.numel() ** 0.5
    return not one.numel() or bool((one - other).abs().max() <= few * one.abs().max())


def _inner(value: Tensor, *, outputs: int) -> list[int]:
    """The dimensions of a convolution's tensor that a sum runs over: all but that of what comes out."""
    return [dim for dim in range(value.dim()) if dim != outputs]


def _u(value: Tensor) -> float:
    return torch.finfo(value.dtype).eps / 2
