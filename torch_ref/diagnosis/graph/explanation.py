"""What explains wrong numbers: a change, where it is made, and how it is meant."""

from enum import Enum, auto
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor
from torch.fx import Node

from torch_ref.diagnosis.graph.alike import Group
from torch_ref.diagnosis.graph.change import Change
from torch_ref.diagnosis.graph.nodes import Values
from torch_ref.diagnosis.graph.replaying import differentiated, replay
from torch_ref.diagnosis.graph.trace import Edit, Edits, Trace


class Way(Enum):
    """What is changed.

    BACKWARD: a node of the backward pass.
    ONLY: the same, for the gradients alone that are wrong; as when they have formulas of their own.
    TAKEN: a value of the forward pass, as the backward pass takes it; as when `dW = dY.T @ G` has G for S.
    RECOMPUTED: the same, and all that the backward pass has that is computed from it.
    FOR_SOME: the same, for the gradients alone that are wrong.
    VALUE: a value of the forward pass, in both passes, the derivative being the right one's.
    FORWARD: an operator of the forward pass, and its derivative with it; as when ReLU stands for tanh.
    ANOTHER: an operator of the forward pass as its derivative has it; as when the loss is a mean, its gradient a sum's.
    DERIVATIVE: the derivative of an operator alone; as when a mean is taken as a constant.
    """

    BACKWARD = auto()
    ONLY = auto()
    TAKEN = auto()
    RECOMPUTED = auto()
    FOR_SOME = auto()
    VALUE = auto()
    FORWARD = auto()
    ANOTHER = auto()
    DERIVATIVE = auto()


GRADIENTS_ALONE = {Way.TAKEN, Way.RECOMPUTED, Way.FOR_SOME, Way.ANOTHER}  # no result is another
OF_WRONG = {Way.ONLY, Way.FOR_SOME}  # what is right is computed from something else
DIFFERENTIATED = {Way.FORWARD, Way.ANOTHER, Way.DERIVATIVE}


class Explanation(NamedTuple):
    """A change at a group of nodes; how it is meant; what it explains, together with another one before it perhaps."""

    way: Way
    group: Group
    change: Change
    tensors: frozenset[str]
    held: Group = ()
    before: "Explanation | None" = None

    @property
    def edits(self) -> Edits:
        """The change at each of the nodes, and the changes before."""
        before = self.before.edits if self.before else {}
        own = {
            i: partial(_after, before[i], self.change.value) if i in before else self.change.value for i in self.group
        }
        return {**before, **own}


def _after(first: Edit, then: Edit, trace: Trace, values: Values, node: Node) -> Any:
    """One change of what another one has changed."""
    values = values.copy()
    values[trace.position[node]] = first(trace, values, node)
    return then(trace, values, node)


def made_by(trace: Trace, way: Way, edits: Edits, held: Group = ()) -> dict[str, Tensor]:
    """All that comes out, everything computed anew: so that its noise can be measured."""
    if way in DIFFERENTIATED:
        made = differentiated(trace, edits, frozenset(held))
    else:
        made = replay(trace, edits, sorted({*trace.everything, *edits}), taken=way == Way.TAKEN) or {}
    return {name: g for name, g in made.items() if way not in GRADIENTS_ALONE or name in trace.case.differentiated}
