"""What rounding to a coarse format, such as bfloat16, can do to a result: its noise, and what is allowed.

As in `rounding`, nobody chooses a tolerance. Here there is a truth, the result in float64 on the same numbers. The
noise is how far that moves when the result of every operator is rounded to the format, up or down at random.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from torch_ref.any_order import SumsInAnyOrder
from torch_ref.cases.case import Array, Case, Numbers
from torch_ref.errors import UnusableError
from torch_ref.precision import Precision
from torch_ref.result_rounding import NearestRounding, ResultRounding, ResultsNudged
from torch_ref.torch_private import DispatchMode

MARGIN = 3  # right code is off by up to 1.33, rarely 1.85, as tests/benchmark/half/README.md says
REPLAYS = 8  # of each kind
FAR_AND_NEAR = 8, 4  # u
SHARE_OF_SUMS = 1 / 3  # a partial sum is off by 0.3 u on average, not by u as in the replay
FIRST = 4  # replays, one of each kind or two
HOPELESS = 100  # times what is allowed after these: more than others ever add
HOPELESS_AGAIN = 4  # the same where a name has failed before, and it is only to be counted how often


def replay(evaluate: Callable[[], Numbers], plain: Numbers, precision: Precision) -> Iterator[dict[str, float]]:
    """Evaluate again and again, each result rounded differently; give the noise of each result as it grows.

    It is the largest |replay - plain| of any element in any replay: of torch's operators as they are, and with fused
    ones taken apart, as code by hand has them. At a kink - a ReLU's 0, say - either side is right, and it is the jump
    between them: the part of two opposite changes that does not cancel.

    What is not finite in a replay, though it is in plain, has left the range of the format: its noise is infinite.
    """
    noise = dict.fromkeys(plain, 0.0)

    def grown(changes: dict[str, float]) -> dict[str, float]:
        noise.update({name: max(noise[name], change) for name, change in changes.items()})
        return noise.copy()

    for seed in range(REPLAYS):
        yield grown(_changes(evaluate, plain, ResultRounding(precision, seed)))
        for other in (seed - 1, seed) if seed % 2 else ():
            yield grown(_jumps(evaluate, plain, partial(ResultsNudged, precision, other)))
            yield grown(_changes(evaluate, plain, ResultRounding(precision, REPLAYS + other, apart=True)))
    sums = dict.fromkeys(plain, 0.0)
    for seed in range(REPLAYS if precision.keeps_sums else 0):
        changes = _changes(evaluate, plain, SumsInAnyOrder(seed, precision.unit_roundoff))
        sums = {name: max(sums[name], change) for name, change in changes.items()}
        grown(_jumps(evaluate, plain, partial(_sums, seed, precision)))
        yield {name: noise[name] + SHARE_OF_SUMS * sums[name] for name in plain}


def depends_on_format(evaluate: Callable[[Case], Numbers], case: Case) -> set[str]:
    """The names of what a model gives otherwise in the format of the case than in float64, whatever is rounded.

    It asks for its dtype, to take an epsilon from finfo, say: what torch's own operators lose inside does not count.
    None where torch can't compute it in the format, or leaves its range.
    """
    right = evaluate(case.judged)
    try:
        with NearestRounding(case.precision):
            own = evaluate(case.in_own_format())
    except UnusableError:
        return set()
    off = {name: _largest(own[name] - array) for name, array in right.items() if np.isfinite(own[name]).all()}
    for noise in replay(partial(evaluate, case.judged), right, case.precision):
        limits = {name: allowed(case.precision, _largest(right[name]), noise[name]) for name in off}
        off = {name: size for name, size in off.items() if not size <= limits[name]}
        if not off:
            break
    return set(off)


def _changes(evaluate: Callable[[], Numbers], plain: Numbers, mode: DispatchMode) -> dict[str, float]:
    with mode:
        results = evaluate()
    return {name: _largest(results[name] - array) for name, array in plain.items()}


def _jumps(evaluate: Callable[[], Numbers], plain: Numbers, mode: Callable[[int], DispatchMode]) -> dict[str, float]:
    """The largest jump of any element. What is curved is no jump: nudged half as far, it changes by a quarter."""
    far, near = (_left_by(evaluate, plain, mode(units), mode(-units)) for units in FAR_AND_NEAR)
    return {name: _largest(np.minimum(np.abs(far[name]), np.abs(far[name] - 4 * near[name]))) for name in plain}


def _sums(seed: int, precision: Precision, units: int) -> DispatchMode:
    """Sums whose terms lose so many quarters of u, or gain them: 2 u is far from what right code loses."""
    return SumsInAnyOrder(seed, units * precision.unit_roundoff / 4)


def _left_by(evaluate: Callable[[], Numbers], plain: Numbers, *opposite: DispatchMode) -> dict[str, Array]:
    """What two opposite changes leave when they are added up."""
    left = {name: -2 * array for name, array in plain.items()}
    for mode in opposite:
        with mode:
            results = evaluate()
        left = {name: change + results[name] for name, change in left.items()}
    return left


def _largest(change: Array) -> float:
    size = float(np.abs(change).max()) if change.size else 0.0
    return np.inf if np.isnan(size) else size


def allowed(precision: Precision, largest: float, noise: float = 0.0) -> float:
    """How far a right result may be off the truth: 3 (noise + u max|g| + the spacing of the smallest numbers).

    largest is max|g|. The last rounding, and those inside an operator, make u max|g| necessary.
    """
    return MARGIN * (noise + precision.unit_roundoff * largest + precision.spacing)
