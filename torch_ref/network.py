"""What explains a mismatch in a network known stage by stage: other losses, classic mistakes, where it goes wrong."""

from collections.abc import Iterator
from functools import partial
from itertools import product

import numpy as np

from torch_ref.cases import label
from torch_ref.chain import ACTIVATIONS, TENSORS, Chain
from torch_ref.evidence import Evidence
from torch_ref.explanation import Finding, Make, distance, matched
from torch_ref.mistake import Mistake
from torch_ref.mistakes import MISTAKES

GRADIENTS = TENSORS[1:]


def made_by(chain: Chain, mistake: Mistake | None = None, p: float = 0.0) -> Make:
    """What the chain gives with this mistake in it."""
    return partial(chain.run, changes=mistake.stages if mistake else {}, p=p)


def other_losses(evidence: Evidence, chain: Chain, wrong: list[str]) -> Iterator[Finding]:
    """The loss, or all four gradients together, of another formula than the right one, not only another sum."""
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


def mistakes(evidence: Evidence, chain: Chain, wrong: list[str]) -> Iterator[Finding]:
    """The mistakes that explain most, first; each tensor is explained once."""
    explanations = []
    relatives = chain.relatives() if set(GRADIENTS) <= set(wrong) else [chain]  # another loss changes every gradient
    for relative, mistake in product(relatives, MISTAKES) if wrong else ():
        for p in mistake.values or _solved(evidence, relative, mistake):
            make = made_by(relative, mistake, p)
            if not matched(evidence.comparisons[:1], make, set(wrong), measure=False):
                continue
            touched = _touched(evidence, make, wrong)
            if touched and touched <= set(wrong) and touched <= matched(evidence.comparisons, make, touched):
                explanations.append((touched, relative, mistake, p))
    for touched, relative, mistake, p in sorted(explanations, key=lambda found: -len(found[0])):
        if touched <= set(wrong):
            wrong = [name for name in wrong if name not in touched]
            name, fix = mistake.texts(ACTIVATIONS[chain.activation], p)
            of = "" if relative == chain else f" The rest of the chain is that of {relative.formula}."
            yield Finding("mistake", name, tuple(n for n in TENSORS if n in touched), f"{name}: {fix}.{of}")


def _touched(evidence: Evidence, make: Make, wrong: list[str]) -> set[str]:
    """The tensors that an explanation makes differ from autograd's; the loss only if the candidate's is wrong too."""
    touched = set()
    for comparison in evidence.comparisons:
        made = make(comparison.case)
        for name, right in comparison.autograd.items():
            if made[name].shape != right.shape or distance(right, made[name]) > comparison.tensors[name].allowed:
                touched.add(name)
    return touched if "loss" in wrong or touched == {"loss"} else touched - {"loss"}


def _solved(evidence: Evidence, chain: Chain, mistake: Mistake) -> list[float]:
    """The number in a mistake that is linear in it, by least squares from the first case."""
    first = evidence.first
    at_0, at_1 = (made_by(chain, mistake, p)(first.case) for p in (0.0, 1.0))
    above = below = 0.0
    for name in TENSORS:
        direction = (at_1[name] - at_0[name]).astype(float)
        yours = first.yours.get(name)
        if yours is not None and distance(yours, direction) < np.inf:
            with np.errstate(over="ignore", invalid="ignore"):  # a candidate's numbers may be of any size
                above += float(((yours - at_0[name]) * direction).sum())
            below += float((direction**2).sum())
    return [above / below] if below and np.isfinite(above) else []


def where_it_enters(left: list[str]) -> str:
    """How far back along the chain everything is right, given the tensors that are wrong for no known reason."""
    lower, upper = {"W1", "B1"} & set(left), {"W2", "B2"} & set(left)
    alone = f"the error is in {', '.join(map(label, left))} alone"
    if left == ["loss"]:
        return "the forward pass and every gradient are right; only the value of the loss is not"
    if len(lower) < 2 and len(upper) < 2:
        return f"∂L/∂G1 and ∂L/∂G2 are right; {alone}"
    if len(upper) < 2:
        return "everything up to ∂L/∂G2 is right; the error enters at ∂L/∂S1 or ∂L/∂G1"
    if len(lower) < 2:
        return f"everything down to ∂L/∂G1 is right; {alone}"
    if "loss" in left:
        return "nothing is right, so the error enters in the forward pass, if not in several places"
    return "the forward pass is right; the error enters at ∂L/∂S2 or ∂L/∂G2"
