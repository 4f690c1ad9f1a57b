"""What explains a mismatch in two layers: other losses, classic mistakes, where in the chain it goes wrong."""

from collections.abc import Iterator
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, cast

import numpy as np
from torch import Tensor

from torch_ref.candidate.stepping import LEARNING_RATE
from torch_ref.diagnosis.diagnosis import detectors
from torch_ref.diagnosis.evidence import Evidence
from torch_ref.diagnosis.explaining import Make, distance, matched
from torch_ref.diagnosis.factors import Factor, factors, general_why, is_every_gradient
from torch_ref.diagnosis.forms import forms
from torch_ref.results import Finding
from torch_ref.two_layers.mistake import Mistake
from torch_ref.two_layers.mistakes import MISTAKES
from torch_ref.two_layers.stages import ACTIVATIONS, NAMES, Chain

if TYPE_CHECKING:  # it brings these detectors
    from torch_ref.two_layers.reference import TwoLayers

GRADIENTS = NAMES[1:]


def chain_of(evidence: Evidence) -> Chain:
    """The stages of the reference."""
    return cast("TwoLayers", evidence.reference).chain


def made_by(
    chain: Chain, mistake: Mistake | None = None, p: float = 0.0, right: dict[str, Tensor] | None = None
) -> Make:
    """What the chain gives with this mistake in it; right are its own stages of the case, if there is but one."""
    return partial(chain.run, changes=mistake.stages if mistake else {}, p=p, right=right)


def other_losses(evidence: Evidence, wrong: list[str]) -> Iterator[Finding]:
    """The loss, or all four gradients together, of another formula than the right one, not only another sum."""
    chain = chain_of(evidence)
    others = [other for other in chain.relatives() if other.loss != chain.loss]
    found: dict[str, Chain] = {}
    for names, subject in (GRADIENTS, "your gradient is"), (("loss",), "the value of your loss is"):
        for other in others if set(names) <= set(wrong) else ():
            if set(names) <= matched(evidence.comparisons, made_by(other), set(names)):
                found[subject] = other
                meant = len(found) == 2 and len(set(found.values())) == 1 and other.reduction in ("mean", "sum")
                hint = f" If that is meant, say --loss {other.loss} --reduction {other.reduction}." if meant else ""
                if names == GRADIENTS and other.loss == "bce":
                    hint += (
                        " Its ∂L/∂G2 is S2 - t; that of a squared error has σ′ of the output layer, S2 (1-S2), in it."
                    )
                yield Finding("loss", other.formula, names, f"{subject} exactly that of {other.formula}.{hint}")
                break


def why(factor: Factor, names: tuple[str, ...], evidence: Evidence) -> str:
    """Where a factor comes from, in a network whose reduction is known."""
    reduction, case = chain_of(evidence).reduction, evidence.first.case
    # What a mean divides by, as powers.
    terms = (("batch", 1), ("out", 1)) if case.sizes["out"] > 1 else (("batch", 1),)
    divided = tuple((size, -power) for size, power in factor.powers)
    every = is_every_gradient(names, evidence)
    if case.step and factor.constant == 0:
        return "not changed, or not by the learning rate times its gradient"
    if case.step and abs(factor.constant) == LEARNING_RATE:
        return "the learning rate, once more than it should be"
    if every and dict(factor.powers) == {"out": 1} and reduction == "mean":
        return "divided by the batch alone, where the loss is a mean over out too; if it is always 1, say --outputs 1"
    if divided == terms and reduction == "sum":
        reason = "of the mean, where the loss is a sum; do not divide"
    elif dict(factor.powers).get("batch", 0) > 0 and abs(factor.constant) == 1:
        by = "number of terms" if factor.powers == terms else "batch"
        reason = f"not divided by the {by}{', though the loss is a mean' if reduction == 'mean' else ''}"
    elif dict(factor.powers).get("batch", 0) < 0 and not every:
        reason = "averaged over the batch though ∂L/∂G is a mean already; sum it"
    else:
        return general_why(factor, names, evidence)
    if factor.constant < 0:
        reason += "; and the sign is the wrong way round"
    if every and "loss" in names and terms in (factor.powers, divided):
        reason += f"; if that is meant, say --reduction {'sum' if reduction == 'mean' else 'mean'}"
    return reason


def mistakes(evidence: Evidence, wrong: list[str]) -> Iterator[Finding]:
    """The mistakes that explain most, first; each name is explained once."""
    chain, explanations = chain_of(evidence), []
    if evidence.first.case.saturated:  # the chain has none of torch's clamps: what it gives is no mistake
        by_itself = matched(evidence.comparisons, made_by(chain), set(wrong))
        wrong = [name for name in wrong if name not in by_itself]
    # Another loss changes every gradient: in some it may be no more than a factor, which has been said.
    relatives = chain.relatives() if wrong and set(GRADIENTS) <= set(evidence.wrong) else [chain]
    right = {relative: relative.stages(evidence.first.case, {}) for relative in relatives if wrong}
    for relative, mistake in product(right, MISTAKES):
        for p in mistake.values or _solved(evidence, relative, mistake, right[relative]):
            on_first = made_by(relative, mistake, p, right[relative])
            if not matched(evidence.comparisons[:1], on_first, set(wrong), measure=False):
                continue
            make = made_by(relative, mistake, p)
            touched = _touched(evidence, make, wrong)
            open_to = set(wrong) if relative == chain else set(evidence.wrong)
            if touched & set(wrong) and touched <= open_to and touched <= matched(evidence.comparisons, make, touched):
                explanations.append((touched & set(wrong), relative, mistake, p))
    for touched, relative, mistake, p in sorted(explanations, key=lambda found: -len(found[0])):
        if touched <= set(wrong):
            wrong = [name for name in wrong if name not in touched]
            name, fix = mistake.texts(ACTIVATIONS[chain.activation], p, step=bool(evidence.first.case.step))
            of = "" if relative == chain else f" The rest of the chain is that of {relative.formula}."
            yield Finding("mistake", name, tuple(n for n in NAMES if n in touched), f"{name}: {fix}.{of}")


def _touched(evidence: Evidence, make: Make, wrong: list[str]) -> set[str]:
    """The names that an explanation makes differ from autograd's; the loss only if the candidate's is wrong too."""
    touched = set()
    for comparison in evidence.comparisons:
        made = make(comparison.case)
        for name, line in comparison.lines.items():  # of what is judged: there may be no loss, or less asked for
            right = comparison.autograd[name]
            if made[name].shape != right.shape or not distance(right, made[name]) <= line.allowed:
                touched.add(name)
    return touched if "loss" in wrong or touched == {"loss"} else touched - {"loss"}


def _solved(evidence: Evidence, chain: Chain, mistake: Mistake, right: dict[str, Tensor]) -> list[float]:
    """The number in a mistake that is linear in it, by least squares from the first case."""
    first = evidence.first
    at_0, at_1 = (made_by(chain, mistake, p, right)(first.case) for p in (0.0, 1.0))
    above = below = 0.0
    with np.errstate(over="ignore", invalid="ignore"):  # a candidate's numbers may be of any size, a formula's infinite
        for name in NAMES:
            direction = (at_1[name] - at_0[name]).astype(float)
            yours = first.yours.get(name)
            if yours is not None and distance(yours, direction) < np.inf:
                above += float(((yours - at_0[name]) * direction).sum())
                below += float((direction**2).sum())
    return [above / below] if below and np.isfinite(above) else []


def torchs_clamps(evidence: Evidence, left: list[str]) -> Iterator[Finding]:
    """In saturated cases: what differs for no other reason, since torch's own loss leaves the true function there."""
    if left and evidence.first.case.saturated and chain_of(evidence).loss == "bce":
        text = (
            f"{evidence.labels(left)}: wrong only where a sigmoid saturates. There torch's binary_cross_entropy keeps "
            "each logarithm at -100 or above, and its backward pass divides by max(S2 (1-S2), 1e-12). Do the same, or "
            "leave --strict out."
        )
        yield Finding("condition", "only where a sigmoid saturates", tuple(left), text)


def where_it_enters(evidence: Evidence, left: list[str]) -> str:
    """How far back along the chain everything is right, given the names that are wrong for no known reason."""
    if left == ["loss"]:
        only = "the forward pass and every gradient are right; only the value of the loss is not"
        return only if evidence.wrong == left else "only the value of the loss is left to explain"
    unproved = [name for name in evidence.wrong if name in left or not _has_right_numbers(evidence, name)]
    lower, upper = {"W1", "B1"} & set(unproved), {"W2", "B2"} & set(unproved)
    alone = f"the error is in {evidence.labels(left)} alone"
    if len(lower) < 2 and len(upper) < 2:
        return f"∂L/∂G1 and ∂L/∂G2 are right; {alone}"
    if len(upper) < 2:
        return "everything up to ∂L/∂G2 is right; the error enters at ∂L/∂S1 or ∂L/∂G1"
    if len(lower) < 2:
        return f"everything down to ∂L/∂G1 is right; {alone}"
    if "loss" in left:
        return "nothing is right, so the error enters in the forward pass, if not in several places"
    return "the forward pass is right; the error enters at ∂L/∂S2 or ∂L/∂G2"


def _has_right_numbers(evidence: Evidence, name: str) -> bool:
    """Whether a wrong gradient is autograd's but for its form or a factor: what it comes from is then right."""
    explained = [*forms(evidence, [name]), *factors(evidence, [name])]
    return any(finding.kind == "form" or (finding.kind == "factor" and finding.name != "0") for finding in explained)


DETECTORS = detectors(
    losses=[other_losses], mistakes=[mistakes], limits=[torchs_clamps], why=why, where=where_it_enters
)
