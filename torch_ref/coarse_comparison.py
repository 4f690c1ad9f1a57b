"""A comparison in a coarse format: with the truth, and what autograd itself is off that."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from math import isfinite

import numpy as np

from torch_ref.cases.case import Case, Numbers
from torch_ref.coarse import FIRST, HOPELESS, HOPELESS_AGAIN, allowed, replay
from torch_ref.errors import UnusableError
from torch_ref.results import Line


def explained_coarsely(
    lines: Mapping[str, Line],
    case: Case,
    evaluate: Callable[[Case], Numbers],
    plain: Numbers,
    *,
    lazy: bool,
    wrong: Collection[str],
) -> dict[str, Line]:
    """The lines, with what rounding to a coarse format explains allowed.

    When lazy, until all is explained, or nothing will be. What is not finite may be explained: a format is soon at its
    end. wrong are names that have failed before: how often they do is all that is asked of them.
    """
    doubtful = {name: line for name, line in lines.items() if not (lazy and line.passed) and not np.isnan(line.error)}
    for count, noise in enumerate(replay(partial(evaluate, case.judged), plain, case.precision) if doubtful else ()):
        for name, line in doubtful.items():
            bound = allowed(case.precision, line.largest, noise[name])
            beyond = line.error == noise[name] == np.inf
            doubtful[name] = replace(line, noise=noise[name], allowed=bound, problem=None if beyond else line.problem)
        limits = {name: HOPELESS_AGAIN if name in wrong else HOPELESS for name in doubtful}
        hopeless = {n for n, line in doubtful.items() if count + 1 >= FIRST and line.severity > limits[n]}
        if lazy and all(line.passed or name in hopeless for name, line in doubtful.items()):
            break
    left = {name: line for name, line in doubtful.items() if not (line.passed or line.problem)}
    return doubtful | _less_autograds_own(left, case, evaluate, plain)


def _less_autograds_own(
    lines: dict[str, Line], case: Case, evaluate: Callable[[Case], Numbers], plain: Numbers
) -> dict[str, Line]:
    """Where autograd in the format of the case is itself further off the truth than is allowed: that allowed besides.

    torch's own operators may sum in the format, and lose more than its rounding of results explains.
    """
    try:
        own = evaluate(case.in_own_format()) if lines else {}
    except UnusableError:  # torch has not all of its operators in every format
        return {}
    sizes = {name: float(np.abs(own[name] - plain[name]).max()) for name in lines}
    return {
        name: replace(line, allowed=line.allowed + sizes[name], own_format=True)
        for name, line in lines.items()
        if isfinite(sizes[name]) and sizes[name] > line.allowed
    }
