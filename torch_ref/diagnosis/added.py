"""A term of the parameters that is added: weight decay, λ W or λ sign(W); or the parameters after a step, returned."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from torch_ref.cases.case import Array
from torch_ref.diagnosis.evidence import Evidence
from torch_ref.diagnosis.factors import Factor
from torch_ref.results import Comparison, Finding

ABSURD = np.errstate(over="ignore", invalid="ignore")  # a candidate's numbers may be of any size
POWERS = ((), (("batch", -1),), (("batch", 1),))


class Penalty(NamedTuple):
    """What is added to the gradient of a parameter, as λ times this; and to the loss, as λ times the sum of that."""

    name: str
    of_gradient: Callable[[Array], Array]
    of_loss: Callable[[Array], Array]
    in_loss: str


PENALTIES = (
    Penalty("{}", lambda p: p, lambda p: p * p / 2, "½ Σ {}²"),
    Penalty("sign({})", np.sign, np.abs, "Σ |{}|"),
)


def added(evidence: Evidence, wrong: list[str]) -> Iterator[Finding]:
    """Weight decay: of each kind of penalty the gradients, by λ, and the loss, if that has the penalty too."""
    for penalty in PENALTIES:
        found: dict[Factor, list[str]] = {}
        for name in wrong:
            if name in evidence.first.case.differentiated and (factor := _weight(evidence, penalty, name)):
                found.setdefault(factor, []).append(name)
        for factor, names in found.items():
            results = [name for name in wrong if _is_in_loss(evidence, penalty, factor, names, name)]
            yield _told(evidence, penalty, factor, names, results)
            wrong = [name for name in wrong if name not in (*names, *results)]
        yield from _in_the_loss_alone(evidence, penalty, wrong)
    yield from _stepped(evidence, wrong)


def _in_the_loss_alone(evidence: Evidence, penalty: Penalty, wrong: list[str]) -> Iterator[Finding]:
    """A result that has the penalty of all matrices, or of all parameters, while every gradient lacks it."""
    first, every = evidence.first, evidence.first.case.differentiated
    matrices = [name for name in every if first.case.arguments[name].ndim > 1]
    is_alone = len(wrong) == 1 and wrong == evidence.wrong and wrong[0] not in every and not first.case.upstream
    for names in (matrices, list(every)) if is_alone and not first.lines[wrong[0]].problem else ():
        total = sum(float(penalty.of_loss(first.case.arguments[name].astype(float)).sum()) for name in names)
        off = float(first.yours[wrong[0]]) - float(first.autograd[wrong[0]])
        factor = Factor(_short(off / total, first.lines[wrong[0]].allowed / total), ()) if total else Factor(0.0, ())
        if factor.constant and _is_in_loss(evidence, penalty, factor, names, wrong[0]):
            whole = " + ".join(penalty.in_loss.format(f"`{name}`") for name in names)
            text = f"{wrong[0]}: {factor.constant:.6g} · ({whole}) is added, weight decay, and not to the gradients"
            yield Finding(
                "mistake", "weight decay", tuple(wrong), f"{text}; leave it out, or put it into the reference too."
            )
            return


def _told(evidence: Evidence, penalty: Penalty, factor: Factor, names: list[str], results: list[str]) -> Finding:
    weight = f"{factor.constant:.6g}" + {-1: " / batch", 1: " · batch", 0: ""}[sum(power for _, power in factor.powers)]
    named = [f"`{name}`" for name in names]
    terms = f"{weight} · {' and '.join(penalty.name.format(name) for name in named)}"
    what, mend = (
        f"{terms} is added to the gradient: weight decay",
        "leave it out, or put it into the reference; or is a penalty counted twice",
    )
    if results:
        whole = " + ".join(penalty.in_loss.format(name) for name in named)
        what += f"; and to the loss {weight} · {f'({whole})' if len(named) > 1 else whole}"
    elif evidence.first.case.upstream:
        what, mend = f"{terms} is added to the gradient, as weight decay would be", "leave it out"
    return Finding(
        "mistake", "weight decay", (*results, *names), f"{evidence.labels([*results, *names])}: {what}; {mend}."
    )


@ABSURD
def _weight(evidence: Evidence, penalty: Penalty, name: str) -> Factor | None:
    """λ, by powers of the batch perhaps, if this times the penalty is what is off in every case."""
    if any(of.lines[name].problem for of in evidence.comparisons):
        return None
    first = evidence.first
    p = penalty.of_gradient(first.case.arguments[name].astype(float))
    off = (first.yours[name] - first.autograd[name]).astype(float)
    size = float(np.abs(p).max())
    if not size or not np.isfinite(off).all() or np.abs(off).max() <= first.lines[name].allowed:
        return None
    ratio = float((off * p).sum() / (p * p).sum())
    for powers in POWERS:
        unit = Factor(1.0, powers).of(first.case.sizes)
        factor = Factor(_short(ratio / unit, first.lines[name].allowed / size / unit), powers)
        if all(_is_off_by(of, name, factor.of(of.case.sizes), penalty) for of in evidence.comparisons):
            return factor
    return None


def _short(number: float, slack: float) -> float:
    """Of six digits, if rounding allows it."""
    short = float(f"{number:.6g}")
    return short if abs(short - number) <= slack else number


def _is_off_by(of: Comparison, name: str, weight: float, penalty: Penalty) -> bool:
    term = weight * penalty.of_gradient(of.case.arguments[name].astype(float))
    off = of.yours[name].astype(float) - of.autograd[name] - term
    return bool(np.abs(off).max() <= of.lines[name].allowed + _rounding(of, term))


def _rounding(of: Comparison, term: Array) -> float:
    return float(4 * of.case.precision.unit_roundoff * np.abs(term).max())


@ABSURD
def _is_in_loss(evidence: Evidence, penalty: Penalty, factor: Factor, names: list[str], result: str) -> bool:
    """Whether a result is off by the same penalty in every case."""
    if result in evidence.first.case.differentiated or evidence.first.case.upstream:
        return False
    for of in evidence.comparisons:
        parameters = [of.case.arguments[name].astype(float) for name in names]
        term = factor.of(of.case.sizes) * sum(float(penalty.of_loss(p).sum()) for p in parameters)
        if of.lines[result].problem or not (
            abs(float(of.yours[result]) - float(of.autograd[result]) - term)
            <= of.lines[result].allowed + _rounding(of, np.asarray(8 * term))
        ):
            return False
    return True


def _stepped(evidence: Evidence, wrong: list[str]) -> Iterator[Finding]:
    """Parameters after a step of gradient descent, in the place of gradients."""
    rates: dict[float, list[str]] = {}
    for name in wrong:
        if name in evidence.first.case.differentiated and (rate := _rate(evidence, name)):
            rates.setdefault(rate, []).append(name)
    for rate, names in rates.items():
        text = (
            f"{evidence.labels(names)}: what comes back is the parameter after a step, as in `{names[0]}` - "
            f"{rate:.6g} · {evidence.label(names[0])}; return the gradient"
        )
        yield Finding("mistake", "parameters after a step", tuple(names), f"{text}.")


@ABSURD
def _rate(evidence: Evidence, name: str) -> float:
    """The learning rate, if there is one for all cases; or 0."""
    if any(of.lines[name].problem or of.lines[name].vacuous for of in evidence.comparisons):
        return 0.0
    first = evidence.first
    moved = (first.case.arguments[name] - first.yours[name]).astype(float)
    g = first.autograd[name].astype(float)
    rate = _short(float((moved * g).sum() / (g * g).sum()), 1e-9)
    for of in evidence.comparisons:
        p = of.case.arguments[name].astype(float)
        off = np.abs(p - rate * of.autograd[name] - of.yours[name]).max()
        if not off <= abs(rate) * of.lines[name].allowed + _rounding(of, p):
            return 0.0
    return rate
