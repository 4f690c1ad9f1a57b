"""Why tensors disagree: which factor, other loss or classic mistake reproduces the candidate's own numbers.

Nothing is said on suspicion. An explanation counts only if every tensor that it touches comes out as the candidate's
did, on cases of different sizes, within what rounding allows for the explanation itself.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import TypeAlias

import numpy as np

from torch_ref.candidate import Candidate, ContractError, as_array, call
from torch_ref.cases import Array, Case
from torch_ref.chain import ERRORS, TENSORS, run
from torch_ref.comparison import Comparison, label
from torch_ref.factors import Factor, explain, find_factor
from torch_ref.mistakes import MISTAKES, Mistake
from torch_ref.rounding import Tensors, allowed, noise

Make: TypeAlias = Callable[[Case], Tensors]  # what an explanation would give on a case

GRADIENTS = TENSORS[1:]
APPROXIMATE = 1e-4  # relative: what is nearer than this is no mistake in the chain
ENOUGH = 3  # cases of one size, before it is said to decide
NEAR = 1e-3  # relative: what is further off is not worth measuring the noise of


@dataclass(frozen=True)
class Finding:
    """One explanation. kind: form, factor, loss, mistake, precision, chain or condition. tensors: those it explains."""

    kind: str
    name: str
    tensors: tuple[str, ...]
    text: str


def diagnose(candidate: Candidate, evidence: list[Comparison], reduction: str) -> list[Finding]:
    """Explain the tensors that differ in `evidence`: ordinary cases of different sizes, with their noise measured."""
    wrong = [name for name in TENSORS if not all(comparison.tensors[name].passed for comparison in evidence)]
    findings: list[Finding] = []

    def unexplained() -> list[str]:
        return [name for name in wrong if not any(name in finding.tensors for finding in findings)]

    for step in (_factors, _other_losses, _mistakes, _forms, _precision):
        findings += step(evidence, unexplained(), reduction)
    if unexplained():
        findings += _ignored(candidate, evidence[0], unexplained())
    if unexplained():
        findings.append(_chain(evidence, unexplained()))
    return findings


def only_for(outcomes: list[tuple[dict[str, int], bool]]) -> list[Finding]:
    """Of the sizes of many cases, and whether each passed: those that decide it, as in "right only for batch = 1"."""
    findings = []
    for size in outcomes[0][0]:
        right, wrong = ([sizes[size] for sizes, passed in outcomes if passed is kind] for kind in (True, False))
        few, many, kind = (right, wrong, "right") if len(set(right)) == 1 else (wrong, right, "wrong")
        if len(few) >= ENOUGH and many and len(set(few)) == 1 and few[0] not in many:
            only = few[0]
            text = f"{kind} for {size} = {only} and for no other {size}: is that size built into the code?"
            findings.append(Finding("condition", f"{kind} only for {size} = {only}", TENSORS, text))
    return findings


def _ignored(candidate: Candidate, comparison: Comparison, wrong: list[str]) -> Iterator[Finding]:
    """The arguments that wrong tensors do not depend on: data of the module is used in their place."""
    finite = [name for name in wrong if comparison.tensors[name].problem is None]
    for argument in ("inputs", "targets"):
        case = deepcopy(comparison.case)
        array = {"inputs": case.inputs, "targets": case.targets}[argument]
        array[...] = np.round(1 - array) if argument == "targets" else array + 1  # labels of 0 and 1, all flipped
        with suppress(ContractError, TypeError, ValueError):
            answer = call(candidate, case)
            arrays = {name: as_array(answer[name], case.dtype) for name in finite}
            same = tuple(name for name, array in arrays.items() if np.array_equal(array, comparison.yours[name]))
            if same:
                text = f"{', '.join(map(label, same))}: the same whatever {argument} is; computed from something else, "
                text += "data of the module perhaps."
                yield Finding("mistake", f"{argument} is ignored", same, text)
                return


def _forms(evidence: list[Comparison], wrong: list[str], _: str) -> Iterator[Finding]:
    """The right numbers, but in another shape or dtype."""
    for name in wrong:
        if all(_same_numbers(comparison, name) for comparison in evidence):
            problem = evidence[0].tensors[name].problem
            yield Finding(
                "form", "another shape or dtype", (name,), f"{label(name)}: the right numbers, but {problem}."
            )


def _same_numbers(comparison: Comparison, name: str) -> bool:
    tensor, yours, right = comparison.tensors[name], comparison.yours.get(name), comparison.autograd[name]
    if tensor.problem is None or yours is None or yours.dtype.kind not in "fc" or yours.size != right.size:
        return False
    with np.errstate(invalid="ignore"):
        return bool(np.abs(yours.ravel() - right.ravel()).max() <= tensor.allowed)


def _factors(evidence: list[Comparison], wrong: list[str], reduction: str) -> Iterator[Finding]:
    many = any(comparison.case.sizes["out"] > 1 for comparison in evidence)
    terms = (("batch", 1), ("out", 1)) if many else (("batch", 1),)
    groups: dict[Factor, list[str]] = {}
    for name in wrong:
        comparable = all(c.tensors[name].problem is None and c.tensors[name].largest for c in evidence)
        if comparable and (factor := find_factor(evidence, name)):
            groups.setdefault(factor, []).append(name)
    for factor, names in groups.items():
        text = explain(factor, tuple(names), terms=terms, reduction=reduction)
        yield Finding("factor", str(factor), tuple(names), text)


def _other_losses(evidence: list[Comparison], wrong: list[str], reduction: str) -> Iterator[Finding]:
    """The loss, or all four gradients together, of another formula than the right one."""
    for names, subject in (GRADIENTS, "your gradient is"), (("loss",), "the value of your loss is"):
        if set(names) <= set(wrong):
            for formula, make in _losses(reduction):
                if set(names) <= _matched(evidence, make(Mistake("", "", {}), 0.0), set(names)):
                    yield Finding("loss", formula, names, f"{subject} exactly that of {formula}.")
                    break


def _losses(reduction: str) -> Iterator[tuple[str, Callable[[Mistake, float], Make]]]:
    """Each loss that gradients may be of, the right one first: its formula, and the chain with a mistake in it."""
    divisors: dict[str, Callable[[Case], int]] = {
        "1/(batch·out) Σ": lambda case: case.sizes["batch"] * case.sizes["out"],
        "Σ": lambda _: 1,
        "1/batch Σ": lambda case: case.sizes["batch"],
    }
    right = "Σ" if reduction == "sum" else "1/(batch·out) Σ"
    for error, sums in product(ERRORS, sorted(divisors, key=lambda sums: sums != right)):

        def make(mistake: Mistake, p: float, error: str = error, sums: str = sums) -> Make:
            return lambda case: run(case, divisors[sums](case), ERRORS[error], mistake.stages, p=p)

        yield f"{sums} {error}", make


def _matched(evidence: list[Comparison], make: Make, names: set[str], *, measure: bool = True) -> set[str]:
    """Those of the tensors that come out as the candidate's in every case; or, unless measured, roughly so."""
    for comparison in evidence:
        made = make(comparison.case)
        distances = {name: _distance(comparison.yours.get(name), made[name]) for name in names}
        names = {name for name in names if distances[name] <= NEAR * _largest(made[name])}
        if not names or not measure:
            break
        measured = noise(partial(make, comparison.case), made)
        bounds = {name: allowed(comparison.case.dtype, _largest(made[name]), measured[name]) for name in names}
        names = {name for name in names if distances[name] <= bounds[name]}
    return names


def _distance(yours: Array | None, made: Array) -> float:
    if yours is None or yours.dtype.kind != "f":
        return np.inf
    if made.shape != yours.shape and (made.ndim or yours.ndim == 1):  # one sum may have been spread over (h, 1)
        return np.inf
    with np.errstate(invalid="ignore"):  # infinity from infinity: NaN is near nothing
        return float(np.abs(yours.astype(float) - made.astype(float)).max())


def _largest(array: Array) -> float:
    return float(np.abs(array).max())


def _mistakes(evidence: list[Comparison], wrong: list[str], reduction: str) -> Iterator[Finding]:
    """The mistakes that explain most, first; each tensor is explained once."""
    explanations = []
    for (formula, make), mistake in product(_losses(reduction), MISTAKES) if wrong else ():
        for p in mistake.values or _solved(evidence, make, mistake):
            explanation = make(mistake, p)
            if not _matched(evidence[:1], explanation, set(wrong), measure=False):
                continue
            touched = _touched(evidence, explanation, wrong)
            if touched and touched <= set(wrong) and touched <= _matched(evidence, explanation, touched):
                explanations.append((touched, formula, mistake, p))
    right = next(_losses(reduction))[0]
    for touched, formula, mistake, p in sorted(explanations, key=lambda found: -len(found[0])):
        if touched <= set(wrong):
            wrong = [name for name in wrong if name not in touched]
            name = mistake.name.format(p=p)
            of = "" if formula == right else f" The rest of the chain is that of {formula}."
            yield Finding("mistake", name, tuple(n for n in TENSORS if n in touched), f"{name}: {mistake.fix}.{of}")


def _touched(evidence: list[Comparison], make: Make, wrong: list[str]) -> set[str]:
    """The tensors that an explanation makes differ from autograd's; the loss only if the candidate's is wrong too."""
    touched = set()
    for comparison in evidence:
        made = make(comparison.case)
        for name, right in comparison.autograd.items():
            if made[name].shape != right.shape or _distance(right, made[name]) > comparison.tensors[name].allowed:
                touched.add(name)
    return touched if "loss" in wrong or touched == {"loss"} else touched - {"loss"}


def _solved(evidence: list[Comparison], make: Callable[[Mistake, float], Make], mistake: Mistake) -> list[float]:
    """The number in a mistake that is linear in it, by least squares from the first case."""
    first = evidence[0]
    at_0, at_1 = (make(mistake, p)(first.case) for p in (0.0, 1.0))
    above = below = 0.0
    for name in TENSORS:
        direction = (at_1[name] - at_0[name]).astype(float)
        yours = first.yours.get(name)
        if yours is not None and _distance(yours, direction) < np.inf:
            above += float(((yours - at_0[name]) * direction).sum())
            below += float((direction**2).sum())
    return [above / below] if below else []


def _precision(evidence: list[Comparison], wrong: list[str], _: str) -> Iterator[Finding]:
    """Float64 tensors whose every element is a float32: something was computed in that."""
    if evidence[0].case.dtype != np.float64:
        return
    arrays = {name: [comparison.yours.get(name) for comparison in evidence] for name in wrong}
    single = tuple(name for name, of in arrays.items() if all(map(_is_single, of)))
    if single:
        text = f"{', '.join(map(label, single))}: every element is a float32; something is computed in that."
        yield Finding("precision", "float32", single, text)


def _is_single(array: Array | None) -> bool:
    if array is None or array.dtype != np.float64 or not np.isfinite(array).all():
        return False
    with np.errstate(over="ignore"):
        return bool(array.any()) and np.array_equal(array, array.astype(np.float32))


def _chain(evidence: list[Comparison], left: list[str]) -> Finding:
    """No explanation: say how far back along the chain everything is right, taking what is explained as right."""
    tensors = [comparison.tensors[name] for comparison in evidence for name in left]
    off = max(tensor.error / tensor.largest if tensor.problem is None else np.inf for tensor in tensors)
    if off < APPROXIMATE:
        text = (
            f"off by {off:.0e} of its size at most: nearly right, as finite differences are, or an epsilon, or float32"
        )
        return Finding("chain", "nearly right", tuple(left), f"{', '.join(map(label, left))}: {text}.")
    lower, upper = {"W1", "B1"} & set(left), {"W2", "B2"} & set(left)
    alone = f"the error is in {', '.join(map(label, left))} alone"
    if left == ["loss"]:
        text = "the forward pass and every gradient are right; only the value of the loss is not"
    elif len(lower) < 2 and len(upper) < 2:
        text = f"∂L/∂G1 and ∂L/∂G2 are right; {alone}"
    elif len(upper) < 2:
        text = "everything up to ∂L/∂G2 is right; the error enters at ∂L/∂S1 or ∂L/∂G1"
    elif len(lower) < 2:
        text = f"everything down to ∂L/∂G1 is right; {alone}"
    elif "loss" in left:
        text = "nothing is right, so the error enters in the forward pass, if not in several places"
    else:
        text = "the forward pass is right; the error enters at ∂L/∂S2 or ∂L/∂G2"
    return Finding("chain", "unexplained", tuple(left), f"no mistake known here gives these numbers, but {text}.")
