"""A candidate in a process of its own, called over a channel. It is never sent what autograd computes."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

from torch_ref.candidate.calling import Answer
from torch_ref.candidate.channel import Channel
from torch_ref.candidate.child import MEDDLED, Child
from torch_ref.cases.case import Case, Numbers
from torch_ref.errors import ContractError, EndedError, UnusableError, plain
from torch_ref.results import Place


class _GoneError(Exception):
    """There will be no reply."""


class Process:
    """The candidate that a child loads. One that has ended, or hung for longer than the timeout, is asked no more.

    name is its whole name, with the function, and form that of `form_of_operators`, once it is loaded.
    """

    def __init__(self, child: Child) -> None:
        self.child = child
        self.channel = Channel(child.connection, child.memory)
        self.loaded = False
        self.place: Place | None = None
        self.name, self.form = child.name, ""
        self.results: tuple[str, ...] = ()
        self.options: dict[str, str] = {}
        self.known: dict[str, Any] = {}  # to the child, of what is the same in every call
        self.asked = 0
        self.ended: str | None = None

    def demand_loaded(self, *, wait: bool) -> None:
        """Hear whether the child could load it; nothing unless it says so now, or we wait. Raises UnusableError."""
        if self.loaded or not (wait or self.child.wait(time.monotonic())):
            return
        try:
            said, _ = self._received(self.child.started + self.child.timeout)
        except _GoneError as gone:
            raise UnusableError(f"{plain(self.child.source)}: fails on import: {gone}") from None
        if why := said.get("unusable"):
            raise UnusableError(plain(str(why), 1000))
        self.place, self.form, self.name = _place(said.get("place")), str(said.get("form")), str(said.get("name"))
        self.loaded = True

    def against(self, results: tuple[str, ...], options: Mapping[str, str]) -> Self:
        """Itself, to be called once it is loaded; results and options as for InProcess. Raises UnusableError."""
        self.demand_loaded(wait=True)
        self.results, self.options = results, dict(options)
        return self

    def __call__(self, case: Case) -> Answer:
        """Its answer for a case. Raises ContractError, or EndedError where there can be none."""
        with self._asking(case):
            reply, arrays = self._reply(case, 0)
            problems = reply.get("problems")
            if not isinstance(problems, dict):
                raise _GoneError(MEDDLED)
            names, gradients = {*problems, *arrays}, {*case.differentiated}
            asked = set(filter(case.asks, gradients)) if names or not case.alone else set()
            if not asked <= names <= gradients | {*self.results}:  # a result may be left out
                raise _GoneError(MEDDLED)
            texts = {name: plain(str(problem)) for name, problem in problems.items()}
            printed = self.child.has_printed or bool(reply.get("printed"))
            formats = {str(name): plain(str(dtype)) for name, dtype in dict(reply.get("formats") or {}).items()}
            unused = [plain(str(key)) for key in list(reply.get("unused") or [])]
            return Answer(arrays, texts, printed, unused, formats)

    def time(self, case: Case, number: int) -> float:
        """The seconds that so many calls take, measured there. Raises what a call raises."""
        with self._asking(case):
            reply, _ = self._reply(case, number)
            seconds = reply.get("seconds")
            if not isinstance(seconds, float):
                raise _GoneError(MEDDLED)
            return seconds

    @contextmanager
    def _asking(self, case: Case) -> Iterator[None]:
        """While entered, one reply is waited for. Raises EndedError where none comes, at once if it was so before."""
        if self.ended is None:
            try:
                yield
            except _GoneError as gone:
                self.ended = str(gone)
                self.child.end()
            else:
                return
        raise EndedError(self.ended, case)

    def _reply(self, case: Case, number: int) -> tuple[dict[str, Any], Numbers]:
        """The reply to a call, or to the timing of so many. Raises ContractError."""
        self.asked += 1
        given = {
            "results": self.results,
            "options": self.options,
            "differentiated": case.differentiated,
            "gradient": case.gradient,
            "packs": dict(case.packs),
            "asked": case.asked,
            "alone": case.alone,
            "step": case.step,
            "precision": case.precision.name,
        }
        again = given == self.known
        header = {"asked": self.asked, "number": number, "order": case.order, "given": None if again else given}
        self.known = given
        try:
            self.channel.send(header, case.arguments)
        except OSError:
            raise _GoneError(self.child.how_it_ended()) from None
        reply, arrays = self._received(time.monotonic() + self.child.timeout * max(1, number))
        if reply.get("asked") != self.asked:
            raise _GoneError(MEDDLED)
        if "breach" in reply:
            raise ContractError(str(reply["breach"]))
        return reply, arrays

    def _received(self, until: float) -> tuple[dict[str, Any], Numbers]:
        """What comes by that time."""
        if not self.child.wait(until):
            raise _GoneError(f"gave no answer within {self.child.timeout:g} s")
        try:
            return self.channel.receive()
        except (EOFError, ConnectionError):
            raise _GoneError(self.child.how_it_ended()) from None
        except (ValueError, OSError):
            raise _GoneError(MEDDLED) from None


def _place(said: Any) -> Place | None:
    """Where the child says that the candidate is written, if it says so."""
    match said:
        case [str(file), int(line)]:
            return Place(plain(file), line)
    return None
