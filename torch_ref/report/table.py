"""The table of a document: how far each candidate is off, what is allowed, and the verdicts; cell by cell."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from torch_ref.outcome import Outcome, Summary
from torch_ref.report.document import Document
from torch_ref.tally import Status

Cells: TypeAlias = tuple[str, ...]  # of one candidate, or the last of autograd: one alone stands across all of them

ALONE: Cells = ("typical", "largest", "allowed", "verdict")
BESIDE: Cells = ("typical", "largest", "verdict")


class Row(NamedTuple):
    """What it is about, and the cells of each candidate. What is nested belongs to the row above that is not."""

    label: str
    blocks: Sequence[Cells] = ()
    nested: bool = False


@dataclass(frozen=True)
class Table:
    """Of one dtype. Several candidates stand side by side, and autograd's own rounding noise stands last.

    columns are the names of the candidates, and autograd if they are several; head says what their cells are.
    """

    dtype: str
    columns: list[str]
    head: list[Cells]
    rows: list[Row]
    times: list[Row]


def tables(document: Document) -> list[Table]:
    """A table for each dtype."""
    return [_table([of for of in document.outcomes if of.settings["dtype"] == dtype]) for dtype in document.dtypes]


def _table(outcomes: list[Outcome]) -> Table:
    several = len(outcomes) > 1
    columns = [*(outcome.name for outcome in outcomes), *["autograd"] * several]
    head = [*[BESIDE] * len(outcomes), ("itself",)] if several else [ALONE]
    rows = [*_counted("ordinary", [outcome.ordinary for outcome in outcomes], outcomes)]
    saturated = [outcome.saturated for outcome in outcomes]
    if outcomes[0].settings["strict"]:
        rows += _counted("saturated", saturated, outcomes)
    elif any(summary.cases for summary in saturated):
        rows.append(Row(_title("saturated", saturated), [(_uncounted(of, alone=not several),) for of in outcomes]))
    for title in dict.fromkeys(title for outcome in outcomes for title in outcome.asides):
        rows += _aside(title, [outcome.asides.get(title, Summary()) for outcome in outcomes])
    rows, times = (
        [row._replace(blocks=[*row.blocks, *[("",)] * (len(head) - len(row.blocks))]) for row in some]
        for some in (rows, _times(outcomes))
    )
    return Table(outcomes[0].settings["dtype"], columns, head, rows, times)


def _title(kind: str, summaries: list[Summary]) -> str:
    return f"{max(summary.cases for summary in summaries)} {kind}"


def _counted(kind: str, summaries: list[Summary], outcomes: list[Outcome]) -> Iterator[Row]:
    """Each result or gradient has a row."""
    alone = len(outcomes) == 1
    title = _title(kind, summaries)
    yield Row(
        f"{title} {'case' if title.startswith('1 ') else 'cases'}",
        [(_breaches(summary, alone=alone),) for summary in summaries],
    )
    noise = outcomes[0].noise if kind == "ordinary" and not alone else {}
    for name, label in _labels(summaries).items():
        own = [(f"± {noise[name]:.1f}",)] if name in noise else []
        yield Row(label, [*(cells(summary, name, alone=alone) for summary in summaries), *own], nested=True)


def _aside(title: str, summaries: list[Summary]) -> Iterator[Row]:
    """Each result or gradient that is wrong has a row."""
    alone = len(summaries) == 1
    wrong = {name for summary in summaries for name, tally in summary.tallies.items() if tally.failed}
    match = [Status.MATCH if summary.cases and not summary.failed else "" for summary in summaries]
    said = [(_breaches(of, alone=alone) or right,) for of, right in zip(summaries, match, strict=True)]
    yield Row(_title(title, summaries), said)
    for name, label in _labels(summaries).items():
        if name in wrong:
            yield Row(label, [cells(summary, name, alone=alone) for summary in summaries], nested=True)


def _labels(summaries: list[Summary]) -> dict[str, str]:
    return {name: tally.worst.label for summary in summaries for name, tally in summary.tallies.items()}


def cells(summary: Summary, name: str, *, alone: bool) -> Cells:
    """How far off a result or gradient is, typically and at most, what was allowed there, and its status."""
    tally = summary.tallies.get(name)
    if tally is None:
        return ("",)
    status = summary.status(name)
    differ = f"{tally.failed} of {summary.cases} differ" if alone else f"{tally.failed} differ"
    verdict = differ if status is Status.DIFFER else status.value
    if tally.worst.problem:
        problem = tally.worst.problem.partition(", expected")[0]  # the smallest case has the rest
        most = len("  ".join(ALONE if alone else BESIDE)) + 2
        short = f"{verdict}: {problem.removeprefix('not an array: ')}"
        came = short if len(short) <= most < len(f"{verdict}: {problem}") else f"{verdict}: {problem}"
        return (came if len(came) <= most else f"{came[: most - 1]}…",)
    if status in (Status.ZERO, Status.UNTESTED):  # in roundings of what is 0, or lost in noise, numbers say nothing
        return (*[""] * (len(ALONE if alone else BESIDE) - 1), verdict)
    largest = tally.largest
    numbers = number(tally.typical), number(largest.units), *([number(largest.limit)] if alone else [])
    return (*numbers, verdict)


def _breaches(summary: Summary, *, alone: bool) -> str:
    count = f"{summary.breaches} of {summary.cases}" if alone else summary.breaches
    return f"{count} break the contract" if summary.breaches else ""


def _uncounted(outcome: Outcome, *, alone: bool) -> str:
    """Of saturated cases, which do not count. If all else is right, not to alarm: torch's is not the only formula."""
    summary = outcome.saturated
    if not summary.cases:
        return ""
    if outcome.ended is not None and outcome.ended.case.saturated:
        return _breaches(summary, alone=alone)  # that counts
    differ, why = summary.failed - summary.breaches, "" if outcome.ordinary.failed else outcome.reference.saturated
    said = f"{differ} of {summary.cases} differ {why}".rstrip() if differ else ""
    found = ", ".join(filter(None, (said, _breaches(summary, alone=alone))))
    if not alone and found:
        found = f"{summary.failed} fail"
    return f"{found or Status.MATCH} (not counted)"


def _times(outcomes: list[Outcome]) -> Iterator[Row]:
    """Of a call at each of the sizes, with autograd's."""
    times = dict.fromkeys(tuple(timing.sizes.items()) for outcome in outcomes for timing in outcome.times)
    if times:
        yield Row("time of a call, on one thread")
    for sizes in times:
        label = " ".join(f"{name}={size}" for name, size in sizes)
        yours = [next((of for of in outcome.times if of.sizes == dict(sizes)), None) for outcome in outcomes]
        shown = [microseconds(of.candidate) if of else "" for of in yours]
        own = microseconds(min(of.autograd for of in yours if of))
        blocks = [(f"{shown[0]}, autograd {own}",)] if len(outcomes) == 1 else [(of,) for of in (*shown, own)]
        yield Row(label, blocks, nested=True)


def number(units: float) -> str:
    """An error in roundings, short."""
    return f"{units:.1f}" if units < 1e4 else f"{units:.1e}"


def microseconds(seconds: float) -> str:
    """A time."""
    return f"{seconds * 1e6:,.1f} µs"
