"""One candidate judged by one reference: all cases, why it fails, and what else there is to know."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from torch_ref.candidate.calling import Candidate
from torch_ref.cases.case import ORDERS, Case
from torch_ref.coarse import depends_on_format
from torch_ref.comparison import compare
from torch_ref.diagnosis.diagnosis import explain_failure
from torch_ref.errors import ContractError, EndedError
from torch_ref.measuring import measure
from torch_ref.outcome import Outcome
from torch_ref.reference.base import BaseReference, Evaluate
from torch_ref.results import Comparison, Finding
from torch_ref.rounding import noise
from torch_ref.settings import Settings
from torch_ref.trials import Trials


def judge(
    candidate: Candidate, reference: BaseReference, settings: Settings, outcome: Outcome, on_case: Callable[[int], None]
) -> None:
    """Fill the outcome. on_case is called with the number of cases judged so far. Ctrl-C ends it, `interrupted`.

    A case in which the candidate's process ends is the failure, and nothing is asked of it any more.

    Raises UnusableError for a reference that can't serve.
    """
    outcome.place = candidate.place
    with _one_thread():
        try:
            reference.demand_usable(settings.precision)
            settings.demand_names(reference)
            with reference.lent() as evaluate:
                if names := _depending_on_format(reference, evaluate, settings):
                    settings = replace(settings, own_format=True)
                    outcome.notes.append(
                        f"is compared with autograd in {settings.precision}: in float64 it gives another "
                        f"{' and '.join(names)}, so the model depends on the dtype"
                    )
                trials = Trials(candidate, reference, evaluate, settings, outcome, on_case)
                if trials.judge_all() and outcome.failure:
                    _explain(candidate, reference, evaluate, outcome, outcome.failure)
                sizes = reference.cases.explicit()[0].sizes
                first = reference.cases.draw(*sizes, seed=settings.seed, precision=settings.precision)
                outcome.notes += [*reference.notes, *outcome.ordinary.notes]
                outcome.notes += _notes(candidate, first)
                if not outcome.ordinary.breaches:
                    measure(candidate, reference, evaluate, settings, outcome)
        except EndedError as error:
            outcome.end(Comparison(error.case, reference.evaluate(error.case.judged), breach=str(error)))
        except KeyboardInterrupt:
            outcome.interrupted = True


def own_noise(reference: BaseReference, settings: Settings) -> dict[str, float]:
    """Autograd's own, of each result and gradient on the first case, in u max|g|."""
    case = reference.cases.draw(*reference.cases.explicit()[0].sizes, seed=settings.seed, precision=settings.precision)
    with _one_thread(), reference.lent() as evaluate:
        plain = evaluate(case.judged)
        sizes = noise(partial(evaluate, case.judged), plain, case.precision)
    units = {name: case.precision.unit_roundoff * np.abs(array).max() for name, array in plain.items()}
    return {name: size / units[name] if units[name] else 0.0 for name, size in sizes.items()}


def _depending_on_format(reference: BaseReference, evaluate: Evaluate, settings: Settings) -> list[str]:
    """How is called what the model gives otherwise in a coarse format than in float64, in some explicit case."""
    if not settings.precision.coarse:
        return []
    labels: dict[str, None] = {}
    for sizes, kind in reference.cases.explicit():
        case = reference.cases.draw(*sizes, kind=kind, seed=settings.seed, precision=settings.precision)
        labels |= dict.fromkeys(map(case.label, sorted(depends_on_format(evaluate, case))))
    return list(labels)


def _explain(
    candidate: Candidate, reference: BaseReference, evaluate: Evaluate, outcome: Outcome, failure: Comparison
) -> None:
    """Add to the outcome why the failure fails: run again alone, or in another memory order, it may pass.

    And what was right may be wrong by now: no explanation would hold in every case then.
    """
    names, order = tuple(name for name, line in failure.lines.items() if not line.passed), failure.case.order
    right = outcome.ordinary.right
    if compare(candidate, failure.case, evaluate).passed:
        text = "right when the same case is run again: the answer depends on earlier calls; keep nothing between calls"
        outcome.findings = [Finding("condition", "remembers earlier calls", names, f"{text}.")]
    elif right and not compare(candidate, right, evaluate).passed:
        text = (
            f"right at first, wrong after some calls: {right} was right, and is wrong when the same case is run again: "
            "the answer depends on earlier calls; keep nothing between calls"
        )
        outcome.findings = [Finding("condition", "remembers earlier calls", names, f"{text}.")]
    elif order != "C" and names and compare(candidate, replace(failure.case, order="C"), evaluate).passed:
        why = (
            f"{', '.join(map(failure.case.label, names))}: right for contiguous arguments, wrong for the same "
            f"{ORDERS[order]}: make a contiguous copy first (np.ascontiguousarray, .contiguous()), or read elements by "
            "index, not by memory."
        )
        outcome.findings, outcome.evidence = [Finding("condition", "memory order", names, why)], [failure]
    else:
        explain_failure(candidate, reference, outcome, failure)
        alone = failure.case.alone
        if alone and failure.breach is None and compare(candidate, replace(failure.case, alone=""), evaluate).passed:
            text = f"right when every gradient is asked for, wrong when {failure.case.label(alone)} alone is"
            why = f"{text}: look at ctx.needs_input_grad, and at the order of what backward returns."
            outcome.findings.insert(0, Finding("condition", "needs_input_grad", (alone,), why))


def _notes(candidate: Candidate, case: Case) -> Iterator[str]:
    """What a call does besides."""
    with suppress(ContractError):
        answer = candidate(case)
        if answer.unused:
            yield f"returns {', '.join(answer.unused)} too, which is no gradient of the reference: it is not looked at"
        if answer.printed:
            yield "prints to standard output; it is left out here"


@contextmanager
def _one_thread() -> Iterator[None]:
    """Two threads only fight over arrays this small. What was set before is restored."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
