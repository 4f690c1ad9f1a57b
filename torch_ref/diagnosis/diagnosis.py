"""Why results and gradients disagree: which explanation gives the candidate's own numbers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from torch_ref.candidate.calling import Candidate
from torch_ref.diagnosis.added import added
from torch_ref.diagnosis.clipping import clipped
from torch_ref.diagnosis.data import dropped, ignored
from torch_ref.diagnosis.evidence import APPROXIMATE, Evidence
from torch_ref.diagnosis.factors import Why, factors
from torch_ref.diagnosis.forms import forms, precision, shuffled
from torch_ref.diagnosis.graph.detector import STOPPED, graph_edits
from torch_ref.diagnosis.patterns import patterns
from torch_ref.diagnosis.sizes import only_for
from torch_ref.diagnosis.unstable import loses_digits
from torch_ref.diagnosis.widened import right_when_wider, widest
from torch_ref.errors import UnusableError
from torch_ref.outcome import Outcome
from torch_ref.reference.base import BaseReference, Detector
from torch_ref.results import Comparison, Finding

UNKNOWN = "No mistake known here gives these numbers."


def explain_failure(candidate: Candidate, reference: BaseReference, outcome: Outcome, failure: Comparison) -> None:
    """Add to the outcome what differs and why: from the numbers on a few telling cases, or the sizes that fail."""
    summaries = [outcome.ordinary, outcome.saturated, *outcome.asides.values()]
    wrong = {name for summary in summaries for name, tally in summary.tallies.items() if tally.failed}
    evidence = widest(candidate, reference, failure, wrong)
    outcome.evidence = evidence.comparisons
    judged = [outcome.saturated] if failure.case.saturated else [outcome.ordinary, *outcome.asides.values()]
    sizes = [of for summary in judged for of in summary.outcomes]
    conditions = only_for([*sizes, (failure.case.sizes, False)], tuple(failure.autograd))
    if lost := [*right_when_wider(evidence, failure), *loses_digits(candidate, reference, failure)]:
        outcome.findings = lost + conditions
    elif any(comparison.breach for comparison in evidence.comparisons) or not evidence.wrong:
        outcome.findings = conditions
    else:
        outcome.findings = diagnose(evidence)
        if any(finding.kind == "chain" for finding in outcome.findings):
            outcome.findings += conditions
    outcome.nearer = nearer(failure, reference)


def nearer(comparison: Comparison, reference: BaseReference) -> list[str]:
    """Where a format of higher precision has the truth: how far the candidate and autograd are off it."""
    truth = comparison.case.precision.truth
    if not truth or comparison.breach is not None:
        return []
    right = reference.evaluate(comparison.case.in_truth())
    try:
        own = reference.evaluate(comparison.case)
    except UnusableError:  # torch has not all of its operators in every format
        return []
    lines = []
    for name, line in comparison.lines.items():
        if not line.passed and line.problem is None:
            yours, autograd = (np.abs(of[name] - right[name]).max() for of in (comparison.yours, own))
            lines.append(f"{line.label} against {truth}: yours is off by {yours:.1e}, autograd by {autograd:.1e}")
    return lines


def diagnose(evidence: Evidence) -> list[Finding]:
    """Explain what differs, each name once, by the detectors of the reference in their order."""
    findings: list[Finding] = []
    coarse = evidence.first.case.precision.coarse  # where nearly everything could be an explanation
    for detector in IN_COARSE_FORMATS if coarse else evidence.reference.detectors or GENERAL:
        explained = {name for finding in findings for name in finding.tensors}
        findings += detector(evidence, [name for name in evidence.wrong if name not in explained])
    findings = _said_once(findings)
    is_open = any(finding.kind == "chain" and finding.tensors for finding in findings)
    is_open = is_open and not evidence.reference.detectors  # those of its own say where it enters
    return [finding for finding in findings if is_open or finding.kind != "chain" or finding.name != "where it enters"]


def _said_once(findings: list[Finding]) -> list[Finding]:
    """What is unexplained is unknown only if everything was tried."""
    stopped = [finding for finding in findings if finding.name == STOPPED]
    if not stopped or not any(finding.name == "unexplained" for finding in findings):
        return findings
    return [
        replace(finding, text=finding.text.replace(UNKNOWN, f"Not found: {stopped[0].text}"))
        for finding in findings
        if finding.name != STOPPED
    ]


def nothing_to_compare(evidence: Evidence, left: list[str]) -> Iterator[Finding]:
    """What did not come as an array of the right shape, of finite numbers."""
    for name in left:
        if problem := evidence.first.lines[name].problem:
            yield Finding("form", "nothing to compare", (name,), f"{evidence.label(name)}: {problem}.")


def where_in_general(evidence: Evidence, left: list[str]) -> str:
    """What is wrong, and what is right."""
    proved = [name for name in evidence.first.lines if not all(of.lines[name].vacuous for of in evidence.comparisons)]
    right = [name for name in proved if name not in evidence.wrong]
    return f"wrong: {evidence.labels(left)}; right: {evidence.labels(right) or 'nothing'}"


def unexplained(
    evidence: Evidence, left: list[str], where: Callable[[Evidence, list[str]], str] = where_in_general
) -> Iterator[Finding]:
    """No explanation: whether it is nearly right, or else `where` the error is."""
    if not left:
        return
    off = max(comparison.lines[name].relative for comparison in evidence.comparisons for name in left)
    if off < APPROXIMATE:
        near = (
            f"off by {off:.0e} of its size at most: nearly right, as finite differences are, or an epsilon, or float32"
        )
        yield Finding("chain", "nearly right", tuple(left), f"{evidence.labels(left)}: {near}.")
    else:
        what = where(evidence, left)
        text = f"{UNKNOWN} {what[0].upper()}{what[1:]}."
        yield Finding("chain", "unexplained", tuple(left), text)


def detectors(
    *,
    losses: Sequence[Detector] = (),
    mistakes: Sequence[Detector] = (),
    limits: Sequence[Detector] = (),
    why: Why | None = None,
    where: Callable[[Evidence, list[str]], str] = where_in_general,
) -> tuple[Detector, ...]:
    """The detectors in their order, with those that a reference has of its own.

    losses: other losses. mistakes: what is known to go wrong. limits: what may differ at the edge of a format. why:
    where a factor comes from. where: the error is, if nothing explains it.
    """
    return (
        *losses,
        partial(factors, why=why),
        *(clipped, forms, *mistakes, added, precision, dropped, *limits),
        *(nothing_to_compare, graph_edits, shuffled, ignored, patterns),
        partial(unexplained, where=where),
    )


GENERAL = detectors()
IN_COARSE_FORMATS = (forms, nothing_to_compare, unexplained)
