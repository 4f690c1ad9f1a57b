"""Autograd with other roundings: what every operator is given moved by a few units in the last place."""

from functools import cache
from typing import Any, ClassVar

import torch
from torch import Tensor

from torch_ref.torch_private import DECOMPOSITIONS, TO_COPY, DispatchMode, writes

aten = torch.ops.aten
SQUASHED = {aten.sigmoid.default: 0, aten.tanh.default: -1}  # the smallest value of each; the largest is 1
CROSS_ENTROPY = aten.binary_cross_entropy.default
# They copy, or their gradient goes to the elements that equal the result: that must stay an element of the operand.
SELECT = {aten.clone, TO_COPY, aten.amax, aten.amin, aten.max, aten.min, aten.median, aten.nanmedian}
# They go by steps, but not always to an integer, so that no result tells.
STEPS = {aten.frac, aten.fmod, aten.remainder, aten.round, aten.frexp}
# Their last operand stays an integer where it is one: (-2) ** 3.0 is real, and a polynomial's degree is truncated.
COUNTED = {aten.pow.Tensor_Tensor, *(
    getattr(getattr(aten, f"special_{name}"), overload)
    for name in dir(torch.special) if "_polynomial_" in name for overload in ("default", "x_scalar")
)}  # fmt: skip  # all in one place
# Replayed part by part, for what no operand shows: inside GELU 1 + tanh or 1 + erf cancels, and the backward pass of
# the hardsigmoid multiplies by a 1/6 that torch has as a float32 in every dtype, 3e-8 off.
APART = {aten.gelu.default, aten.gelu_backward.default, aten.hardsigmoid_backward.default}
COINS = 2**18 - 5  # tossed once; a prime, so that the rows of a matrix do not get the same ones


@cache
def coins(dtype: torch.dtype) -> Tensor:
    """Fair coins, 0 or 1, always the same: tossing them is what costs, so a replay takes the next of these."""
    return torch.randint(2, (COINS,), generator=torch.Generator().manual_seed(0), dtype=dtype)


class Purse:
    """Where in `coins`, or what was made from them, a replay is; each seed starts elsewhere."""

    def __init__(self, seed: int) -> None:
        self.spent = seed * (COINS // 16) % COINS

    def take(self, pool: Tensor, shape: torch.Size) -> Tensor:
        """The next of the pool's elements, as many as the shape has."""
        count = shape.numel()
        start, self.spent = self.spent, self.spent + count
        if self.spent > COINS:
            start, self.spent = 0, count % COINS
            pool = pool.repeat(-(-count // COINS)) if count > COINS else pool
        taken = pool[start : start + count]
        return taken if len(shape) == 1 else taken.view(shape)


@cache
def _factors(dtype: torch.dtype) -> Tensor:
    """1 or 1 - 2u."""
    return 1 - coins(dtype) * torch.finfo(dtype).eps  # eps is 2u


class DifferentRounding(DispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """While entered, every floating-point tensor that enters an operator, forward or backward, is perturbed.

    Each element is multiplied by 1 or 1 - 2u, with u the unit roundoff (2⁻⁵³, 2⁻²⁴), by a fair coin: toward zero, so
    that a probability stays in [0, 1]. Views, in-place operators and those that only select are left alone.

    What compares, truncates or counts must not notice: a label of 1 stays one for == 1, a token 3.0 for long(). Which
    operators do is told by what they return: no floating-point numbers, or integers only though operands are none. They
    are given operands in which what is within 16 u of an integer is that integer.

    With any_formula, what a sigmoid returns is moved by 2u up or down besides, within [0, 1], and a tanh likewise.
    Correct code that takes the logarithm of 1 - S, or gets S from a tanh, or a tanh from exponentials, knows S only
    that well however small it is; torch's own loss, which takes log1p(-S), knows more, and must not hold others to it.
    So with that loss: code that has log S as G - log(1 + exp G) knows it only as well as it knows log(1 - S).
    """

    coarseness: ClassVar[int] = 1  # how many times larger all of it is
    squashed: ClassVar[int] = 1  # the same of what a sigmoid returns

    def __init__(self, seed: int, *, any_formula: bool = True) -> None:
        super().__init__()
        self.any_formula = any_formula
        self.heads = 1
        self.purse = Purse(seed)
        self.continuous: set[Any] = set()  # operators seen to return fractions of fractions: they do not step

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in APART:
            with self:
                return DECOMPOSITIONS[func](*args, **kwargs)
        return func(*args, **kwargs) if _left_alone(func) else self._replayed(func, args, kwargs)

    def _replayed(self, func: Any, args: Any, kwargs: Any) -> Any:
        packet = func.overloadpacket
        if packet in STEPS:
            return func(*map(self._snapped, args), **kwargs)
        if packet in SELECT or torch.Tag.dynamic_output_shape in func.tags:
            result = func(*args, **kwargs)
        elif func in COUNTED or (func is aten.pow.Scalar and args[0] < 0):
            result = func(self._perturbed(args[0]), self._snapped(args[1]))
        else:
            moved = {name: self._perturbed(value) for name, value in kwargs.items()} if kwargs else kwargs
            result = func(*[self._perturbed(value) for value in args], **moved)
        if func not in self.continuous:
            result = self._without_steps(func, args, kwargs, result)
        if self.any_formula and func in SQUASHED:
            up = self.purse.take(coins(result.dtype), result.shape) == self.heads
            two_u = self.squashed * torch.finfo(result.dtype).eps
            return torch.where(up, result + two_u, result - two_u).clamp(SQUASHED[func], 1)
        if self.any_formula and func is CROSS_ENTROPY:
            sign = 1 if int(self.purse.take(coins(result.dtype), torch.Size([1]))) == self.heads else -1
            two_u = self.squashed * torch.finfo(result.dtype).eps
            return result + sign * two_u * func(args[0], 1 - args[1], *args[2:], **kwargs)
        return result

    def _without_steps(self, func: Any, args: Any, kwargs: Any, result: Any) -> Any:
        """The result, or where it is one of steps, what the operator gives when integers are integers."""
        results = tensors(result)
        fractions = [value for value in results if value.is_floating_point() or value.is_complex()]
        steps = not fractions or all(map(integers, fractions))
        if not steps and (len(fractions) == len(results) or torch.Tag.dynamic_output_shape in func.tags):
            if "rounding_mode" not in kwargs:
                self.continuous.add(func)
            return result
        right = func(*map(self._snapped, args), **{name: self._snapped(value) for name, value in kwargs.items()})
        counted = all(integers(value) for value in tensors(right) if value.is_floating_point())
        return right if steps or counted else result

    def _perturbed(self, value: Any) -> Any:
        """Of an operator's argument, each floating-point tensor: operators take tensors and flat lists of them."""
        if isinstance(value, Tensor):
            return self._moved(value) if value.dtype.is_floating_point and value.layout is torch.strided else value
        return [self._perturbed(item) for item in value] if isinstance(value, list | tuple) else value

    def _moved(self, value: Tensor) -> Tensor:
        return value * self.purse.take(_factors(value.dtype), value.shape)

    def _snapped(self, value: Any) -> Any:
        if is_float(value):
            nearest = value.round()
            slack = 8 * self.coarseness * torch.finfo(value.dtype).eps
            return torch.where((value - nearest).abs() <= slack * value.abs(), nearest, value)
        return [self._snapped(item) for item in value] if isinstance(value, list | tuple) else value


class CoarseRounding(DifferentRounding):  # type: ignore[no-untyped-call]  # likewise
    """The same 256 times as coarsely, and to either side: 1 + 512u or 1 - 512u, what is within [-1, 1] staying there.

    With `opposite`, every coin is turned over: to first order, every change then is the opposite of what it was.
    """

    coarseness = 256
    squashed = 512  # more, or the coin of the operator that gets S, of a 1 - S say, may take it back

    def __init__(self, seed: int, *, opposite: bool, any_formula: bool) -> None:
        super().__init__(seed, any_formula=any_formula)
        self.heads = 0 if opposite else 1

    def _moved(self, value: Tensor) -> Tensor:
        up = self.purse.take(coins(value.dtype), value.shape) == self.heads
        step = value * (self.coarseness * torch.finfo(value.dtype).eps)
        moved = torch.where(up, value + step, value - step)
        return torch.where(value.abs() <= 1, moved.clamp(-1, 1), moved)


@cache
def _left_alone(func: Any) -> bool:
    return bool(func.is_view) or writes(func)


def tensors(values: Any) -> list[Tensor]:
    """Of an operator's arguments, or of what it returns, the tensors."""
    if isinstance(values, Tensor):
        return [values]
    return [tensor for value in values for tensor in tensors(value)] if isinstance(values, list | tuple) else []


def is_float(value: Any) -> bool:
    """Whether it is a tensor of floating-point numbers, all of them there: not a sparse one, nor one without data."""
    strided = isinstance(value, Tensor) and value.layout is torch.strided and not value.is_meta
    return strided and value.is_floating_point()


def integers(value: Tensor) -> bool:
    """Whether all are integers, of those small enough for fractions: below 1/eps, and there are such."""
    if not is_float(value) or not value.numel():
        return False
    if value[(0,) * value.dim()].item() % 1 > 0:  # a fraction, as nearly always: nobody looks at the others
        return False
    small = value[value.abs() * torch.finfo(value.dtype).eps < 1]
    return small.numel() > 0 and bool((small == small.round()).all())
