"""The detector: autograd's computation of the telling cases, edited until it gives the candidate's numbers."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from torch_ref.cases.case import Case, Numbers
from torch_ref.comparison import compare
from torch_ref.diagnosis.evidence import Evidence, most_wrong_first
from torch_ref.diagnosis.explaining import matched
from torch_ref.diagnosis.graph.change import OTHERS, PLACES
from torch_ref.diagnosis.graph.entry import entry
from torch_ref.diagnosis.graph.explanation import Explanation, made_by
from torch_ref.diagnosis.graph.naming import is_part
from torch_ref.diagnosis.graph.search import MUCH, Search
from torch_ref.diagnosis.graph.signs import SILENT
from torch_ref.diagnosis.graph.time_steps import steps
from torch_ref.diagnosis.graph.trace import Trace
from torch_ref.diagnosis.graph.tracing import NotTracedError, prepare, trace
from torch_ref.diagnosis.graph.words import sentence
from torch_ref.errors import UnusableError
from torch_ref.results import Comparison, Finding

SECONDS = 3.5  # of this process, for tracing and searching: what else the machine does must not change a diagnosis
STOPPED = "search stopped"
UNSEEN = range(500, 512)  # seeds of a case that the search does not see


def graph_edits(evidence: Evidence, left: list[str]) -> Iterator[Finding]:
    """The edits of autograd's own computation that give what is left to explain, verified on a case of its own."""
    wrong = frozenset(name for name in left if all(of.lines[name].problem is None for of in evidence.comparisons))
    try:
        yield from list(_searched(evidence, left, wrong)) if wrong else ()
    except Exception as error:  # noqa: BLE001  # a search that fails must not take the verdict with it
        why = error if isinstance(error, NotTracedError) else f"it failed ({type(error).__name__})"
        yield Finding("chain", "no search", (), f"autograd's own computation was not searched for the mistake: {why}.")


def _searched(evidence: Evidence, left: list[str], wrong: frozenset[str]) -> Iterator[Finding]:
    """What a search finds; or where the error enters, and whether the time was up."""
    prepare()
    # What is right in a case tells nothing there, as a mask that is missing where it would hide nothing.
    telling = sorted(evidence.comparisons, key=lambda of: all(line.passed for line in of.lines.values()))
    graphs = Graphs(evidence, telling, time.process_time() + SECONDS)
    search = Search(graphs, telling, wrong - _rounding_alone(telling) or wrong, graphs.until)
    search.run()
    verified = list(_verified(search, evidence, graphs)) if search.found else []
    unknown = set(left) & wrong
    for explanation in verified:
        alone = _rounding_alone(telling) & graphs[0].reached(explanation.group)  # and so grows with what is wrong
        names = tuple(name for name in evidence.wrong if name in explanation.tensors | alone)
        unknown -= {*names}
        what = sentence(graphs[0], explanation)
        yield Finding("mistake", what.name, names, f"{evidence.labels(names)}: {what.text}")
    gradients = frozenset(unknown) & set(evidence.first.case.differentiated)
    right = frozenset(name for name in evidence.first.lines if _is_right(evidence, name))
    if gradients and (where := entry(graphs[0], search.influence, gradients, right)):
        yield Finding("chain", "where it enters", (), f"{where}.")
    if unknown and search.stopped:
        text = f"the search stopped after {SECONDS:g} s of processor time, before everything was tried."
        yield Finding("chain", STOPPED, (), text)


def _is_right(evidence: Evidence, name: str) -> bool:
    """Whether it is, and in some case not by being 0."""
    proved = not all(of.lines[name].vacuous for of in evidence.comparisons)
    return name not in evidence.wrong and proved


def _verified(search: Search, evidence: Evidence, graphs: "Graphs") -> Iterator[Explanation]:
    """Of what was found the best, each name explained once, that holds on a case that the search has not seen."""
    of_all = Graphs(evidence, [*graphs.comparisons, _unseen(evidence)], np.inf, list(graphs))
    explained: set[str] = set()
    for explanation in sorted(search.found, key=partial(_order, graphs[0], graphs[0].gradients)):
        if not explanation.tensors & explained and _is_verified(explanation, of_all):
            explained |= explanation.tensors
            yield explanation


def _order(first: Trace, gradients: frozenset[int], explanation: Explanation) -> tuple[int, ...]:
    """What explains most, then the simplest, then what says most and is nearest to the wrong tensors."""
    node = first.nodes[explanation.group[0]]
    i = explanation.group[0]
    is_inner = explanation.change.rank == PLACES and (i not in gradients or is_part(first, i))  # not what comes in
    says_much = explanation.change.kind == "slope" or "role" in node.meta.get("custom", {})
    if explanation.change.kind == "stray":  # a factor that the operator itself has
        says_much = first.number(explanation.change.detail[0]) == first.number(explanation.group[0])
    if explanation.change.kind == "scaled":
        says_much = any(isinstance(argument, float) for argument in node.args)
    is_cut = explanation.change.kind == "cut" and gradients.issuperset(explanation.group)
    is_cut = is_cut and not node.meta.get("is_gradient_acc")  # of these rather, which path is missing
    places = {steps(first).get(first.number(i)) for i in explanation.group}
    scattered = len(explanation.group) - len({step and step.step for step in places})
    far = len(first.after(explanation.group)) - len(explanation.group)
    return (
        -len(explanation.tensors),
        explanation.change.rank + (explanation.before.change.rank if explanation.before else 0),
        is_inner,
        not is_cut,
        not says_much,
        explanation.change.rank >= OTHERS and is_part(first, explanation.group[0]),
        node.target in SILENT,
        scattered,
        far,
        len(explanation.group),
    )


def _rounding_alone(comparisons: Sequence[Comparison]) -> frozenset[str]:
    """What is 0 by nature, and comes as little more than rounding allows."""
    return frozenset(
        name
        for name in comparisons[0].lines
        if all((of := each.lines[name]).vacuous and of.error < MUCH * of.allowed for each in comparisons)
    )


def _unseen(evidence: Evidence) -> Comparison:
    """A case of other numbers, the one of a dozen in which most is wrong."""
    of = evidence.comparisons[1].case
    draw = partial(evidence.reference.cases.draw, precision=of.precision, saturated=of.saturated, kind=of.kind)
    cases = [replace(draw(*of.sizes.values(), seed=seed, order=of.order), asked=of.asked) for seed in UNSEEN]
    case = most_wrong_first(evidence.candidate, evidence.reference, cases)[0]
    return compare(evidence.candidate, case, evidence.reference.evaluate, lazy=False)


@dataclass
class Graphs(Sequence[Trace]):
    """The graph of each case, all alike. Each is traced when it is first needed: most edits fail on the first case.

    Each gives the reference's own numbers, or NotTracedError is raised; as it is for the first when it is later than
    `until`.
    """

    evidence: Evidence
    comparisons: Sequence[Comparison]
    until: float
    traced: list[Trace] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.comparisons)

    def __getitem__(self, k: Any) -> Any:
        """The k-th, and those before it."""
        while len(self.traced) <= k < len(self):
            self.traced.append(self._next(self.comparisons[len(self.traced)]))
        return self.traced[k]

    def _next(self, comparison: Comparison) -> Trace:
        if not self.traced and time.process_time() > self.until:  # later ones take less, and something hangs on them
            raise NotTracedError(f"to trace it takes more than {SECONDS:g} s")
        reference = self.evidence.reference
        with reference.lent() as evaluate:
            evaluate(comparison.case)  # the module's buffers then are new, and of this precision
            try:
                traced = trace(reference, comparison.case, self.traced[0] if self.traced else None)
            except (UnusableError, RuntimeError, TypeError, ValueError, NotImplementedError) as error:
                raise NotTracedError(f"it can't be traced ({type(error).__name__})") from error
        if self.traced:
            self.traced[0].learn_sizes(traced)
        made = traced.numbers({})
        for name, line in comparison.lines.items():
            if np.abs(made[name] - comparison.autograd[name]).max() > line.allowed:
                raise NotTracedError(f"its graph gives another {line.label} than autograd")
        return traced


def _is_verified(explanation: Explanation, graphs: Graphs) -> bool:
    """Whether the numbers are the candidate's within rounding on every case, one of them unseen by the search."""
    of_case = {id(trace.case): trace for trace in graphs}

    def make(case: Case) -> Numbers:
        trace = of_case[id(case)]
        return trace.numbers(made_by(trace, explanation.way, explanation.edits, explanation.held))

    return matched(list(graphs.comparisons), make, set(explanation.tensors)) == explanation.tensors
