"""The search: which change, at which nodes, gives the candidate's numbers on every telling case."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from torch_ref.diagnosis.graph.alike import Group
from torch_ref.diagnosis.graph.attempts import Attempts
from torch_ref.diagnosis.graph.change import Change
from torch_ref.diagnosis.graph.combined import after_parts, at_one_operator
from torch_ref.diagnosis.graph.explanation import DIFFERENTIATED, GRADIENTS_ALONE, OF_WRONG, Explanation, Way
from torch_ref.diagnosis.graph.influence import Influence
from torch_ref.diagnosis.graph.nodes import is_backward
from torch_ref.diagnosis.graph.replaying import differentiated, replay, value
from torch_ref.diagnosis.graph.trace import Edits, Trace
from torch_ref.diagnosis.graph.tracing import NotTracedError
from torch_ref.results import Comparison

MUCH = 1e3  # times what is allowed of what is 0 by nature: what is wrong in it may be so many times rounding
SAME = 1e-9  # relative, in float64: what a search takes for the same number, before noise is measured


@dataclass
class Search:
    """The traces of the telling cases beside what the candidate gave; found: what explains something.

    parts: what explains some of the tensors that it changes, and leaves others wrong.
    deadline: the time when to stop; stopped: whether it came to that.
    """

    traces: Sequence[Trace]
    comparisons: Sequence[Comparison]
    wrong: frozenset[str]
    deadline: float
    found: list[Explanation] = field(default_factory=list)
    parts: list[Explanation] = field(default_factory=list)
    stopped: bool = False

    def __post_init__(self) -> None:
        self._yours: list[dict[str, Tensor]] = []
        self.bounds = [_bounds(of) for of in self.comparisons]
        self.influence = Influence(self.traces[0], self.yours(0), self.bounds[0])
        only = {name: tensor for name, tensor in self.yours(0).items() if name in self.wrong}
        self.of_wrong = Influence(
            self.traces[0], only, self.bounds[0]
        )  # what is right may be computed from something else

    def yours(self, k: int) -> dict[str, Tensor]:
        """What the candidate gave in the k-th case."""
        while len(self._yours) <= k:
            n = len(self._yours)
            self._yours.append(_tensors(self.traces[n], self.comparisons[n]))
        return self._yours[k]

    @property
    def explained(self) -> frozenset[str]:
        """The names that something explains."""
        return frozenset().union(*(found.tensors for found in self.found))

    def run(self) -> None:
        """Try the simple changes everywhere, then others, then two together, until all that is wrong is explained."""
        attempts = Attempts(self.traces[0], self.yours(0), self.wrong, self.influence, self.of_wrong)
        for tier in chain(
            attempts.tiers(), attempts.last(), at_one_operator(attempts), after_parts(attempts, self.parts)
        ):
            for attempt in tier:
                if self.is_late():
                    return
                self.consider(*attempt)
            if self.explained >= self.wrong:
                return

    def is_late(self) -> bool:
        """Whether the time is up."""
        self.stopped = self.stopped or time.process_time() > self.deadline
        return self.stopped

    def consider(
        self,
        way: Way,
        group: Group,
        change: Change,
        held: Group = (),
        before: Explanation | None = None,
        is_part: bool = False,  # noqa: FBT001, FBT002  # the last of an attempt
    ) -> None:
        """Keep the explanation if every output that the change reaches is the candidate's, on every case.

        A part of an explanation may leave wrong what is wrong.
        """
        explanation = Explanation(way, group, change, frozenset(), held, before)
        changed: set[str] = set()
        right = set(self.wrong)
        for k, trace in enumerate(self.traces):
            made = self._made(k, trace, explanation, self.wrong if is_part else frozenset())
            if made is None:
                return
            changed |= {
                name for name in made if not self._is_same(k, name, made[name], trace.values[trace.outputs[name]])
            }
            right -= {name for name in made if not self._is_same(k, name, made[name], self.yours(k).get(name))}
            if not changed & right:
                return
        explained = frozenset(changed & right)
        if before and not explained > before.tensors:
            return
        (self.parts if is_part else self.found).append(explanation._replace(tensors=explained))

    def _made(self, k: int, trace: Trace, explanation: Explanation, free: frozenset[str]) -> dict[str, Tensor] | None:
        """The outputs that change, if they are the candidate's or free to be others."""
        way, edits = explanation.way, explanation.edits
        taken = way == Way.TAKEN

        def accept(name: str, tensor: Tensor) -> bool:
            is_asked = way not in GRADIENTS_ALONE or name in trace.case.differentiated
            return (
                not is_asked
                or name in free
                or (way in OF_WRONG and name not in self.wrong)
                or name not in self.yours(k)
                or self._is_same(k, name, tensor, self.yours(k)[name])
            )

        try:
            if way in DIFFERENTIATED:
                made = differentiated(trace, edits, frozenset(explanation.held))
                return _asked(trace, way, made) if all(accept(name, tensor) for name, tensor in made.items()) else None
            begun = explanation.before and explanation.before.tensors
            if not k and not begun and not free and not self._passes(way, edits):
                return None
            outputs = replay(trace, edits, self._order(trace, edits, taken=taken), accept, taken=taken)
        except NotTracedError:
            raise
        except Exception:  # noqa: BLE001  # a change that does not fit: another shape, an axis that is not there
            return None
        return outputs and _asked(trace, way, outputs)

    @staticmethod
    def _order(trace: Trace, edits: Edits, *, taken: bool) -> list[int]:
        """What has to be computed again."""
        after = trace.after(edits)
        return [i for i in after if i in edits or is_backward(trace.nodes[i])] if taken else after

    def _passes(self, way: Way, edits: Edits) -> bool:
        """Whether the first gradient that the edits change may be what the candidate has there."""
        trace, taken = self.traces[0], way == Way.TAKEN
        influence = self.of_wrong if way in OF_WRONG else self.influence
        gate = influence.gate(influence.entered(edits, taken=taken))
        return not gate or gate.passes(value(trace, edits, gate.position, taken=taken))

    def _is_same(self, k: int, name: str, made: Tensor, other: Tensor | None) -> bool:
        return (
            other is not None
            and made.shape == other.shape
            and bool((made - other).abs().max() <= self.bounds[k].get(name, np.inf))
        )


def _asked(trace: Trace, way: Way, made: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of what comes out, what the way is about."""
    return {name: t for name, t in made.items() if way not in GRADIENTS_ALONE or name in trace.case.differentiated}


def _tensors(trace: Trace, comparison: Comparison) -> dict[str, Tensor]:
    """What the candidate gave, in the shapes of the trace, as far as it can be compared."""
    tensors = {}
    for name, i in trace.outputs.items():
        line = comparison.lines.get(name)
        if line is not None and line.problem is None:
            tensors[name] = torch.from_numpy(np.ascontiguousarray(comparison.yours[name])).reshape(
                trace.values[i].shape
            )
    return tensors


def _bounds(comparison: Comparison) -> dict[str, float]:
    return {
        name: max(SAME * line.largest, line.allowed * (4 if line.largest > line.allowed else MUCH))
        for name, line in comparison.lines.items()
    }
