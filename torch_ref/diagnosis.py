"""Why tensors disagree: which factor, other loss or classic mistake reproduces the candidate's own numbers.

Nothing is said on suspicion. An explanation counts only if every tensor that it touches comes out as the candidate's
did, on cases of different sizes, within what rounding allows for the explanation itself.
"""

from collections.abc import Iterator

from torch_ref import network, numbers
from torch_ref.cases import label
from torch_ref.evidence import Evidence
from torch_ref.explanation import Finding
from torch_ref.factors import Factor, explain, find_factor

APPROXIMATE = 1e-4  # relative: what is nearer than this is no mistake in the chain
ENOUGH = 3  # cases of one size, before it is said to decide


def diagnose(evidence: Evidence) -> list[Finding]:
    """Explain the tensors that differ, each of them once, the most telling explanation first."""
    findings: list[Finding] = []

    def unexplained() -> list[str]:
        return [name for name in evidence.wrong if not any(name in finding.tensors for finding in findings)]

    if chain := evidence.reference.chain:
        findings += network.other_losses(evidence, chain, unexplained())
    findings += _factors(evidence, unexplained())
    if chain:
        findings += network.mistakes(evidence, chain, unexplained())
    for step in numbers.forms, numbers.precision, numbers.dropped, numbers.ignored:
        findings += step(evidence, unexplained())
    for name in unexplained():
        if problem := evidence.first.tensors[name].problem:
            findings.append(Finding("form", "nothing to compare", (name,), f"{label(name)}: {problem}."))
    if left := unexplained():
        findings.append(_unknown(evidence, left))
    return findings


def only_for(outcomes: list[tuple[dict[str, int], bool]], tensors: tuple[str, ...]) -> list[Finding]:
    """Of the sizes of many cases, and whether each passed: those that decide it, as in "right only for batch = 1"."""
    findings = []
    for size in outcomes[0][0]:
        right, wrong = ([sizes[size] for sizes, passed in outcomes if passed is kind] for kind in (True, False))
        few, many, kind = (right, wrong, "right") if len(set(right)) == 1 else (wrong, right, "wrong")
        if len(few) >= ENOUGH and many and len(set(few)) == 1 and set(few).isdisjoint(many):
            (only,) = set(few)
            text = f"{kind} for {size} = {only} and for no other {size}: is that size built into the code?"
            findings.append(Finding("condition", f"{kind} only for {size} = {only}", tensors, text))
    return findings


def _factors(evidence: Evidence, wrong: list[str]) -> Iterator[Finding]:
    groups: dict[Factor, list[str]] = {}
    for name in wrong:
        tensors = [comparison.tensors[name] for comparison in evidence.comparisons]
        comparable = not any(tensor.problem or tensor.vacuous for tensor in tensors)
        if comparable and (factor := find_factor(evidence.comparisons, name)):
            groups.setdefault(factor, []).append(name)
    for factor, names in groups.items():
        yield Finding("factor", str(factor), tuple(names), explain(factor, tuple(names), evidence))


def _unknown(evidence: Evidence, left: list[str]) -> Finding:
    """No explanation: say what is right, or how far back along the chain, taking what is explained as right."""
    tensors = [comparison.tensors[name] for comparison in evidence.comparisons for name in left]
    off = max(tensor.relative for tensor in tensors)
    names = ", ".join(map(label, left))
    if off < APPROXIMATE:
        near = (
            f"off by {off:.0e} of its size at most: nearly right, as finite differences are, or an epsilon, or float32"
        )
        return Finding("chain", "nearly right", tuple(left), f"{names}: {near}.")
    if evidence.reference.chain:
        where = network.where_it_enters(left)
    else:
        right = [label(name) for name in evidence.first.tensors if name not in evidence.wrong]
        where = f"wrong: {names}; right: {', '.join(right) or 'nothing'}"
    return Finding("chain", "unexplained", tuple(left), f"no mistake known here gives these numbers, but {where}.")
