"""How much of a difference is rounding: the noise of autograd's own result, measured by Monte Carlo arithmetic.

The result is computed again with every operation rounding differently; how far it moves is what rounding can do to
it (Parker, "Monte Carlo arithmetic", 1997; Denis et al., "Verificarlo", 2016). So nobody guesses a tolerance for
a network or a dtype. Three numbers are the same for all: MARGIN, SHARE and SHARE_OF_SUMS. They were chosen by measuring
right code that is written in many ways, of which tests/test_long_sums.py and tests/test_exactness.py have some.
"""

from collections.abc import Callable, Iterator
from itertools import product
from math import isnan, sqrt

import numpy as np

from torch_ref import coarse
from torch_ref.any_order import SumsInAnyOrder
from torch_ref.cases.case import Array, Case, Numbers
from torch_ref.perturbation import CoarseRounding, DifferentRounding
from torch_ref.precision import FLOAT64, Precision
from torch_ref.torch_private import DispatchMode

MARGIN = 8
REPLAYS = 16  # of each kind
BLOCK = 2**14  # elements
SHARE = 3 / 8  # of the root mean square of what replays change: with the margin, three times that is allowed
FINER = SHARE / CoarseRounding.coarseness  # of what a coarse replay changes: an estimate of the noise without others
SHARE_OF_SUMS = 1.0  # of what other sums change: float32 loses small terms from large sums, which is no random walk


def from_arguments(evaluate: Callable[[Case], Numbers], case: Case, plain: Numbers) -> Iterator[dict[str, float]]:
    """The least that the noise of each result is, as it grows: what its arguments' last bits are worth.

    It is 3/8 of the largest change of any element when the last bit of all arguments is 0, or half of what the last two
    do, or a fourth of what three do. Numbers that are exact - 0, 1, 0.5, any integer - stay what they are, and equal
    ones stay equal. plain is what `evaluate` gave for the case. Each costs as much as autograd, a replay several times.
    """
    floats = {name: array for name, array in case.arguments.items() if array.dtype.kind == "f"}
    least = dict.fromkeys(plain, 0.0)
    for unit in (1, 2, 4):
        cleared = {name: _without_last_bits(array, unit) for name, array in floats.items()}
        for name, change in _changes(evaluate(case.with_arguments(**cleared)), plain).items():
            least[name] = max(least[name], SHARE / unit * change)
        yield least.copy()


def _without_last_bits(array: Array, unit: int) -> Array:
    """The array with the last bits of its elements 0, those below 2 × unit."""
    bits = array.view(f"i{array.itemsize}") & -2 * unit
    return np.asarray(bits).view(array.dtype)  # without axes it is no array


def replay(evaluate: Callable[[], Numbers], plain: Numbers, *, any_formula: bool = True) -> Iterator[dict[str, float]]:
    """Evaluate again and again, each operation rounding differently; give the noise of each result as it grows.

    noise² = (3/8 rounding)² + sums²: root mean squares, over 16 replays each, of the largest |replay - plain| of
    any element when every operator is perturbed, and when sums are taken in any order. plain is what `evaluate` gave,
    and replays to come count as 0, so that the noise only grows.

    At a kink - a ReLU's 0, a tie in a max-pool - there is no one gradient, and each side is right: replays take one
    side or the other, and the jump between them is noise.
    """
    noise, sums = dict.fromkeys(plain, 0.0), True
    for seed in range(REPLAYS):
        _add(noise, SHARE, _replayed(evaluate, plain, DifferentRounding(seed, any_formula=any_formula)))
        yield noise.copy()
        if sums:
            _add(noise, SHARE_OF_SUMS, _replayed(evaluate, plain, mode := SumsInAnyOrder(seed)))
            yield noise.copy()
            sums = mode.found


def _add(noise: dict[str, float], share: float, changes: dict[str, float]) -> None:
    for name, change in changes.items():
        noise[name] = float(np.hypot(noise[name], share * change / REPLAYS**0.5))  # hypot: a square may underflow


def bound(evaluate: Callable[[], Numbers], plain: Numbers, *, any_formula: bool = True) -> dict[str, float]:
    """What the noise of no replay exceeds: the largest change when all is rounded 256 times as coarsely.

    Four times, every second time with every coin turned over, so that at a kink one of the two is on either side: where
    z = 0 but for rounding, the coins move it by z' and -z'. In a tiny tensor coins may also cancel, but not all of them
    all four times. It says nothing about the order of sums: ask it only about more.
    """
    most = dict.fromkeys(plain, 0.0)
    for seed, opposite in product(range(2), (False, True)):
        mode = CoarseRounding(seed, opposite=opposite, any_formula=any_formula)
        for name, change in _replayed(evaluate, plain, mode).items():
            most[name] = max(most[name], change)
    return most


def _replayed(evaluate: Callable[[], Numbers], plain: Numbers, mode: DispatchMode) -> dict[str, float]:
    with mode:
        results = evaluate()
    return _changes(results, plain)


def _changes(results: Numbers, plain: Numbers) -> dict[str, float]:
    """Of each result the largest |replay - plain| of any element; 0 where that is not a number."""
    changes = {name: farthest(results[name], array)[0] for name, array in plain.items()}
    return {name: 0.0 if isnan(change) else change for name, change in changes.items()}


def farthest(one: Array, other: Array) -> tuple[float, int]:
    """The largest |one - other| of any element, and its place among them all; of a NaN, if there is one.

    0 if there are no elements. It goes block by block, which is faster and takes no memory.
    """
    one, other = one.reshape(-1), other.reshape(-1)
    largest, place = 0.0, 0
    for start in range(0, one.size, BLOCK):
        off = np.subtract(one[start : start + BLOCK], other[start : start + BLOCK], dtype=np.float64)
        high, low = int(off.argmax()), int(off.argmin())
        here = low if off.item(high) < -off.item(low) else high
        size = abs(off.item(here))
        if not size <= largest:
            largest, place = size, start + here
        if isnan(size):
            break
    return largest, place


def indices(place: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The indices of an element from its place among all of them."""
    index: list[int] = []
    for size in reversed(shape):
        place, at = divmod(place, size)
        index.append(at)
    return tuple(reversed(index))


def noise(evaluate: Callable[[], Numbers], plain: Numbers, precision: Precision = FLOAT64) -> dict[str, float]:
    """The noise of each tensor after all replays, of a check in this precision."""
    *_, last = coarse.replay(evaluate, plain, precision) if precision.coarse else replay(evaluate, plain)
    return last


def allowed(precision: Precision, largest: float, noise: float = 0.0, terms: int = 1) -> float:
    """How far two correct computations may lie apart: 8 (noise + √n u max|g| + the smallest normal number).

    largest is max|g|; terms is n, as many as a sum has that runs along the longest axis of any argument. It rounds
    about √n u inside itself, which no operand need show. Below the smallest normal number (2.2e-308, 1.2e-38) rounding
    errors are absolute, and unlike in the rest of the range no replay shows them.

    >>> from torch_ref.precision import FLOAT64
    >>> f"{allowed(FLOAT64, largest=1.0):.3g}"
    '8.88e-16'
    """
    if precision.coarse:
        return coarse.allowed(precision, largest, noise)
    return MARGIN * (noise + sqrt(terms) * precision.unit_roundoff * largest + precision.smallest_normal)
