"""Every case of a check, judged: explicit ones, drawn ones, those counted apart, and the smallest that fails."""

from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle

import numpy as np

from torch_ref.candidate.calling import Candidate, differing
from torch_ref.cases.case import NORMAL, ORDERS, Case, Numbers
from torch_ref.cases.drawing import Explicit
from torch_ref.comparison import compare
from torch_ref.diagnosis.factors import other_reduction
from torch_ref.errors import ContractError, UnusableError
from torch_ref.outcome import Outcome, Summary
from torch_ref.reference.base import BaseReference, Evaluate, evaluated
from torch_ref.results import ZERO, Comparison
from torch_ref.rounding import allowed, noise
from torch_ref.settings import Settings
from torch_ref.shrinking import smallest_of
from torch_ref.tally import Status


@dataclass(frozen=True)
class Trials:
    """The cases of one candidate and one reference, to be judged one after another into an outcome."""

    candidate: Candidate
    reference: BaseReference
    evaluate: Evaluate
    settings: Settings
    outcome: Outcome
    on_case: Callable[[int], None]

    def judge_all(self) -> bool:
        """Judge every case, or the saved one. Returns whether the candidate's answers are of any use."""
        if self.settings.saved:
            self.outcome.ordinary.add(self._judge(self.settings.saved))
            return True
        settings, outcome, cases = self.settings, self.outcome, self.reference.cases
        kinds = (outcome.ordinary, settings.cases, False), (outcome.saturated, settings.saturated, True)
        for summary, count, saturated in kinds if cases.saturates else kinds[:1]:
            draw = partial(cases.draw, precision=settings.precision, saturated=saturated)
            some = cases.explicit() if not saturated else dict.fromkeys(Explicit(of.sizes) for of in cases.explicit())
            explicit = [partial(draw, *of.sizes, seed=settings.seed, kind=of.kind) for of in [*some][:count]]
            orders = cycle(ORDERS)
            stable = [self._judge_twice(drawn(), next(orders), summary) for drawn in explicit]
            if not all(stable):
                return False
            others = map(
                self._asked, cases.drawn(count - len(explicit), settings.seed, settings.precision, saturated=saturated)
            )
            for case, right in evaluated(others, self.evaluate):
                summary.add(self._judge(case, summary.wrong, right))
            self._settle_zeros(summary, (drawn() for drawn in explicit))
        if not outcome.ordinary.failed:
            self._judge_asides()
        self._shrink()
        return True

    def _judge(self, case: Case, wrong: Collection[str] = (), right: Numbers | None = None) -> Comparison:
        self.outcome.last = case
        self.on_case(self.outcome.ordinary.cases + self.outcome.saturated.cases)
        return self._compare(case, wrong, right)

    def _asked(self, case: Case) -> Case:
        asked, own_format = self.settings.only, self.settings.own_format
        return replace(case, asked=asked, own_format=own_format) if asked or own_format else case

    def _compare(self, case: Case, wrong: Collection[str] = (), right: Numbers | None = None) -> Comparison:
        try:
            return compare(self.candidate, self._asked(case), self.evaluate, wrong=wrong, right=right)
        except UnusableError:
            if case.kind == NORMAL:
                raise
        # The kind of data is gradgate's idea, and the reference need not be made for it.
        draw = partial(self.reference.cases.draw, precision=case.precision, saturated=case.saturated, order=case.order)
        return self._compare(draw(*case.sizes.values(), seed=case.seed), wrong)

    def _judge_twice(self, case: Case, order: str, summary: Summary) -> bool:
        """Judge a case, then again as it may be called besides. Returns whether the answer is stable."""
        comparison = self._judge(case, summary.wrong)
        breach = self._other_answer(comparison) if comparison.breach is None else None
        if breach:
            comparison = replace(comparison, breach=breach, lines={})
        elif comparison.passed:
            comparison = replace(comparison, yours={})  # as large as the parameters, and needed no more
            comparison = next(self._wrong_otherwise(comparison, order), comparison)
        summary.add(comparison)
        return breach is None

    def _wrong_otherwise(self, right: Comparison, order: str) -> Iterator[Comparison]:
        """What is wrong of a case that is right, with its arguments in another memory order; or asked for one gradient.

        A candidate may refuse that order, which is noted; it may not give wrong numbers for it.
        """
        relaid = self._compare(replace(right.case, order=order), right=right.autograd)
        if _is_refused(relaid):
            if not any(note.startswith("refuses") for note in self.outcome.notes):
                self.outcome.notes.append(f"refuses arguments {ORDERS[order]}: {relaid.breach}")
        elif not relaid.passed:
            yield relaid
        for name in filter(right.case.asks, right.case.differentiated if right.case.upstream else ()):
            alone = self._compare(replace(right.case, alone=name), right=right.autograd)
            if alone.passed and not alone.lines:  # it can't be asked that
                break
            if not alone.passed:
                yield replace(alone, lines=right.lines | alone.lines if alone.lines else {})

    def _other_answer(self, comparison: Comparison) -> str | None:
        """What is different in a second call by more than rounding, if anything is, or raises."""
        case, first, right = comparison.case, comparison.yours, comparison.autograd
        try:
            again = self.candidate(case).arrays
        except ContractError as error:
            return str(error)
        names = differing(first, again)
        measured = noise(partial(self.evaluate, case.judged), right, case.precision) if names else {}
        for name in names:
            bound = allowed(case.precision, float(np.abs(right[name]).max()), measured[name], case.terms)
            with np.errstate(invalid="ignore"):
                change = np.abs(again[name] - first[name]) if again[name].shape == first[name].shape else np.inf
            if not np.max(change) <= bound:
                grown = np.shape(change) == right[name].shape and np.allclose(again[name] - first[name], right[name])
                why = ": it adds to the sums of the first; start them at zero in each call" if grown else ""
                return f"gave another answer for {name} in a second call with the same arguments{why}"
        return None

    def _settle_zeros(self, summary: Summary, cases: Iterator[Case]) -> None:
        """Where no case proves anything of a line: is it zero? Its noise was measured only until it passed."""
        doubtful = {name: tally for name, tally in summary.tallies.items() if tally.status is Status.UNTESTED}
        for case in cases if doubtful else ():
            right = self.evaluate(case.judged)
            measured = noise(partial(self.evaluate, case.judged), right, case.precision)
            doubtful = {n: tally for n, tally in doubtful.items() if np.abs(right[n]).max() <= ZERO * measured[n]}
        for tally in doubtful.values():
            tally.zero = tally.cases

    def _judge_asides(self) -> None:
        """Judge what is counted apart, if the reference can draw it."""
        for aside in self.reference.cases.asides():
            comparisons: list[Comparison] = []
            with suppress(UnusableError):
                draw = partial(self.reference.cases.draw, seed=self.settings.seed, precision=self.settings.precision)
                cases = [draw(*sizes, kind=kind) for sizes, kind in aside.cases]
                comparisons = list(map(self._compare, cases))
            counted = [of for of in comparisons if self._results_match(of) or not aside.only_if_results_match]
            factor = other_reduction(comparisons) if aside.only_if_results_match else None
            if factor:
                self.outcome.notes.append(
                    f"gives {factor} in cases with {aside.title}: a loss averaged or summed in another way; they do "
                    "not count"
                )
            elif counted:
                self.outcome.asides[aside.title] = summary = Summary()
                for comparison in counted:
                    summary.add(comparison)

    def _results_match(self, comparison: Comparison) -> bool:
        return comparison.breach is None and all(
            comparison.lines[name].passed for name in self.reference.results if name in comparison.lines
        )

    def _shrink(self) -> None:
        """Make the failure that counts the smallest case that fails."""
        if (failure := self.outcome.failure) is None:
            return
        summaries = self.outcome.ordinary, self.outcome.saturated, *self.outcome.asides.values()
        (summary,) = (summary for summary in summaries if summary.failure is failure)

        def fails(case: Case) -> bool:
            comparison = self._judge(case, summary.wrong)
            return not comparison.passed and not _is_refused(comparison)

        if smallest := smallest_of(self.reference.cases.like(failure.case), fails, self.settings.seed):
            shrunk = self._judge(smallest)
            summary.failure = failure if shrunk.passed else shrunk


def _is_refused(comparison: Comparison) -> bool:
    """Whether the candidate raises for a memory order other than C, as it may."""
    return comparison.case.order != "C" and (comparison.breach or "").startswith("raised ")
