"""What counts as an explanation: it gives the candidate's own numbers, within what rounding allows, on every case."""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import numpy as np

from torch_ref.cases.case import Array, Case, Numbers
from torch_ref.comparison import HOPELESS
from torch_ref.results import Comparison
from torch_ref.rounding import allowed, bound, replay

Make: TypeAlias = Callable[[Case], Numbers]  # what an explanation would give on a case

NEAR = 1e-3  # relative: what is further off is not worth measuring the noise of


def matched(comparisons: list[Comparison], make: Make, names: set[str], *, measure: bool = True) -> set[str]:
    """The names for which `make` gives the candidate's numbers in every case; unless measured, roughly those."""
    with np.errstate(all="ignore"):  # an explanation fitted to absurd numbers is absurd too, and matches nothing
        for comparison in comparisons:
            made = make(comparison.case)
            distances = {name: distance(comparison.yours.get(name), made[name]) for name in names}
            # Of an infinite result everything is near, and it explains nothing.
            names = {name for name in names if distances[name] <= NEAR * largest(made[name]) < np.inf}
            if not names or not measure:
                break
            names -= _beyond_rounding(comparison.case, make, made, {name: distances[name] for name in names})
    return names


def _beyond_rounding(case: Case, make: Make, made: Numbers, distances: dict[str, float]) -> set[str]:
    """The names whose distance is more than rounding explains. As in a comparison, it is replayed only while needed.

    And no more where all are so far off that no replay could explain them: mistakes by the dozen are nearly what code
    that computes in float32 gives.
    """

    def beyond(noise: dict[str, float], times: float = 1.0) -> set[str]:
        bounds = {name: allowed(case.precision, largest(made[name]), noise[name], case.terms) for name in distances}
        return {name for name in distances if not distances[name] <= times * bounds[name]}

    doubtful, again = beyond(dict.fromkeys(made, 0.0)), partial(make, case)
    for count, noise in enumerate(replay(again, made) if doubtful else ()):
        if not (doubtful := beyond(noise)):
            break
        if count == 0 and doubtful == beyond(noise, HOPELESS) == beyond(bound(again, made)):
            break
    return doubtful


def distance(yours: Array | None, made: Array) -> float:
    """The largest difference of any element, infinite where there is nothing to compare."""
    if yours is None or yours.dtype.kind != "f" or yours.size == 0:
        return np.inf
    if made.shape != yours.shape and (made.ndim or yours.ndim == 1):  # one sum may have been spread over (h, 1)
        return np.inf
    with np.errstate(invalid="ignore"):  # infinity from infinity: NaN is near nothing
        return float(np.abs(yours.astype(float) - made.astype(float)).max())


def largest(array: Array) -> float:
    """The largest absolute value."""
    return float(np.abs(array).max())
