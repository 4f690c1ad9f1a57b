"""Autograd with the result of every operator rounded to a coarse format, such as bfloat16, up or down at random."""

from functools import cache, reduce
from math import log2
from typing import Any

import torch
from torch import Tensor

from torch_ref.any_order import SUMS, decomposes
from torch_ref.perturbation import APART, COINS, SELECT, SQUASHED, Purse, aten, coins, is_float, tensors
from torch_ref.precision import Precision
from torch_ref.torch_private import DECOMPOSITIONS, DispatchMode, out_of_place, writes

WIDE_BITS = 53  # of a float64
ENDLESS = torch.finfo(torch.float64).max / 2

ADDED = {aten.addmm, aten.baddbmm, aten.addmv, aten.addbmm}  # of the sums those to which something is added


class ResultRounding(DispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """While entered, what each operator gives, forward or backward, is rounded to a format, in float64 or in its own.

    It is rounded up or down, to the nearer number the more often: what it becomes is right on average. Beyond the
    format it becomes infinite. Left alone is what masks are made of: infinity, and the largest float64, which a model
    takes for the largest number of its dtype; what only moves elements, or selects them; and what consists of integers:
    a position, a count, a label.

    A sigmoid or a tanh is known only as well as a number near 1 is: right code may compute 1 - S where torch does not.

    Where tensors are in the format itself, each operator is computed in float64: what torch loses inside its own is
    not what the format loses. With `apart`, fused operators are taken apart first, by torch's own decompositions.
    """

    def __init__(self, precision: Precision, seed: int, *, apart: bool = False) -> None:
        super().__init__()
        self.precision, self.apart = precision, apart
        self.native = getattr(torch, precision.name)
        self.purse = Purse(seed)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        same = out_of_place(func) if writes(func) else func
        if func.is_view or same is None or same.overloadpacket in SELECT:
            return func(*args, **kwargs)
        if self.apart and _is_fused(same, args, kwargs):
            with self:
                result = DECOMPOSITIONS[same](*args, **kwargs)
        else:
            result = self._rounded(self._computed(same, args, kwargs))
            if same in SQUASHED:
                result = self._as_near_one(result)
        return result if same is func else args[0].copy_(result)

    def _computed(self, func: Any, args: Any, kwargs: Any) -> Any:
        """What the operator gives; in float64, if it is given numbers of the format."""
        given = {tensor.dtype for tensor in tensors([*args, *kwargs.values()]) if tensor.is_floating_point()}
        if self.native not in given:
            return func(*args, **kwargs)
        wide = torch.float64
        try:
            result = func(*_each(args, wide), **{name: _each(value, wide) for name, value in kwargs.items()})
        except RuntimeError:  # an index, say, must not be wider than what it is put into
            return func(*args, **kwargs)
        return _each(self._rounded(result), reduce(torch.promote_types, given), only=wide)

    def _rounded(self, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return type(value)(map(self._rounded, value))
        if not is_float(value) or torch.equal(value, value.round()):
            return value
        return torch.where(value.abs() < ENDLESS, self._moved(value.double()).to(value.dtype), value)

    def _as_near_one(self, value: Tensor) -> Tensor:
        """Rounded to the numbers that there are just below 1, however small it is."""
        u = self.precision.unit_roundoff
        wide = value.double()
        return (torch.floor(wide / u + self.purse.take(_chances(), value.shape)) * u).to(value.dtype)

    def _moved(self, value: Tensor) -> Tensor:
        u, smallest, spacing = self.precision.unit_roundoff, self.precision.smallest_normal, self.precision.spacing
        dropped = WIDE_BITS - round(-log2(u))  # bits
        chance = self.purse.take(_chances(), value.shape)
        bits = value.contiguous().view(torch.int64) + (chance * 2.0**dropped).long()
        rounded = (bits & -(2**dropped)).view(torch.float64)
        near_zero = torch.floor(value / spacing + chance) * spacing
        rounded = torch.where(value.abs() < smallest, near_zero, rounded)
        return torch.where(rounded.abs() > self.precision.largest, rounded.sign() * torch.inf, rounded)


class ResultsNudged(ResultRounding):  # type: ignore[no-untyped-call]  # likewise
    """The same with every result moved by so many u up or down, by a coin: if they are negative, the other way.

    To first order the two changes are each other's opposite. What is within [-1, 1] stays there, as a probability must:
    it moves by half of the way to the end at most.
    """

    def __init__(self, precision: Precision, seed: int, units: int) -> None:
        super().__init__(precision, seed)
        self.units = units

    def _moved(self, value: Tensor) -> Tensor:
        size = value.abs()
        step = self.units * self.precision.unit_roundoff * size
        end = (1 - size).clamp(min=0) / 2
        step = torch.where(size <= 1, step.clamp(-end, end), step)
        return value + step * (2 * self.purse.take(coins(value.dtype), value.shape) - 1)


class NearestRounding(ResultRounding):  # type: ignore[no-untyped-call]  # likewise
    """The same with every result rounded to the nearest number: what the format gives, and torch's own operators do."""

    def __init__(self, precision: Precision) -> None:
        super().__init__(precision, 0)

    def _moved(self, value: Tensor) -> Tensor:
        return value.to(self.native).to(value.dtype)


def _is_fused(func: Any, args: Any, kwargs: Any) -> bool:
    """Whether it can be taken apart; what works element by element rounds once, but for what cancels inside it.

    A sum rounds once too; one to which something is added, as a linear layer's bias is, twice in other hands.
    """
    one = torch.Tag.pointwise in func.tags or func.overloadpacket in SUMS.keys() - ADDED
    return func in APART or (not one and decomposes(func, args, kwargs))


def _each(value: Any, dtype: torch.dtype, *, only: torch.dtype | None = None) -> Any:
    """Of what an operator takes or gives, each floating-point tensor in this dtype, or those that are in one other."""
    if isinstance(value, list | tuple):
        return type(value)(_each(item, dtype, only=only) for item in value)
    if not isinstance(value, Tensor) or not value.is_floating_point() or (only and value.dtype is not only):
        return value
    return value.to(dtype)


@cache
def _chances() -> Tensor:
    """Numbers between 0 and 1, always the same, as `coins` are."""
    return torch.rand(COINS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
