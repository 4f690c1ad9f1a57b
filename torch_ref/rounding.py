"""How much of a difference is rounding: the noise of autograd's own result, measured by Monte Carlo arithmetic.

The result is computed again with every operation rounding differently; how far it moves is what rounding can do to
it (Parker, "Monte Carlo arithmetic", 1997; Denis et al., "Verificarlo", 2016). No tolerance is chosen by anyone.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from torch_ref.cases.case import Numbers
from torch_ref.precision import Precision
from torch_ref.torch_private import DispatchMode, writes

REPLAYS = 8
MARGIN = 8
aten = torch.ops.aten
# They copy, select, compare or truncate and round nothing: a label of 1 must stay one for == 1, a token 3.0 for long().
EXACT = {
    *(aten.clone, aten._to_copy, aten.amax, aten.amin, aten.max, aten.min, aten.median, aten.nanmedian),  # noqa: SLF001
    *(aten.eq, aten.ne, aten.lt, aten.le, aten.gt, aten.ge),
    *(aten.floor, aten.ceil, aten.trunc, aten.round, aten.fmod, aten.remainder),
}
SQUASHED = {aten.sigmoid.default: 0, aten.tanh.default: -1}  # the smallest value of each; the largest is 1


class DifferentRounding(DispatchMode):  # type: ignore[no-untyped-call]  # torch leaves __init_subclass__ untyped
    """While entered, every floating-point tensor that enters an operator, forward or backward, is perturbed.

    Each element is multiplied by 1 or 1 - 2u, with u the unit roundoff (2⁻⁵³, 2⁻²⁴), by a fair coin: toward zero, so
    that a probability stays in [0, 1]. Views, in-place operators and those that round nothing are left alone.

    With any_formula, what a sigmoid returns is moved by -2u, 0 or 2u besides, within [0, 1], and a tanh likewise.
    Correct code that takes the logarithm of 1 - S, or gets S from a tanh, or a tanh from exponentials, knows S only
    that well however small it is; torch's own loss, which takes log1p(-S), knows more, and must not hold others to it.
    """

    def __init__(self, seed: int, *, any_formula: bool = True) -> None:
        super().__init__()
        self.any_formula = any_formula
        self.coin = torch.Generator(device="cpu").manual_seed(seed)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func.is_view or func.overloadpacket in EXACT or writes(func):
            return func(*args, **kwargs)
        args, exponent = (args[:1], args[1:]) if func is aten.pow.Tensor_Tensor else (args, ())  # (-2) ** 3.0 is real
        perturbed = {name: self._perturb(value) for name, value in kwargs.items()}
        result = func(*map(self._perturb, args), *exponent, **perturbed)
        if self.any_formula and func in SQUASHED:
            steps = torch.randint(-1, 2, result.shape, generator=self.coin, dtype=result.dtype)
            result = (result + steps * torch.finfo(result.dtype).eps).clamp(SQUASHED[func], 1)
        return result

    def _perturb(self, value: Any) -> Any:
        """Of an operator's argument, each floating-point tensor: operators take tensors and flat lists of them."""
        if isinstance(value, list | tuple):
            return [self._perturb(item) for item in value]
        if not (isinstance(value, torch.Tensor) and value.is_floating_point()):
            return value
        heads = torch.randint(2, value.shape, generator=self.coin, dtype=value.dtype)
        return value * (1 - heads * torch.finfo(value.dtype).eps)  # eps is 2u


def replay(evaluate: Callable[[], Numbers], plain: Numbers, *, any_formula: bool = True) -> Iterator[dict[str, float]]:
    """Evaluate 8 times, each operation rounding differently; give the noise of each tensor as it grows.

    That is the largest |replay - plain| of any element so far. plain is what `evaluate` gave. At a kink - a ReLU's 0, a
    tie in a max-pool - there is no one gradient, and each side is right: replays take one side or the other, and the
    jump between them is noise.
    """
    noise = dict.fromkeys(plain, 0.0)
    for seed in range(REPLAYS):
        with DifferentRounding(seed, any_formula=any_formula):
            tensors = evaluate()
        for name, array in plain.items():
            noise[name] = float(np.fmax(noise[name], np.abs(tensors[name] - array).max()))
        yield noise.copy()


def noise(evaluate: Callable[[], Numbers], plain: Numbers) -> dict[str, float]:
    """The noise of each tensor after all replays."""
    *_, last = replay(evaluate, plain)
    return last


def allowed(precision: Precision, largest: float, noise: float = 0.0) -> float:
    """How far two correct computations of a tensor may lie apart: 8 (noise + u max|g| + the smallest normal number).

    largest is max|g|. Operators that round inside themselves make u max|g| necessary. Below the smallest normal number
    (2.2e-308, 1.2e-38) rounding errors are absolute, and unlike in the rest of the range no replay shows them.

    >>> from torch_ref.precision import FLOAT64
    >>> f"{allowed(FLOAT64, largest=1.0):.3g}"
    '8.88e-16'
    """
    return MARGIN * (noise + precision.unit_roundoff * largest + precision.smallest_normal)
