"""What explains wrong numbers: a change, where it is made, and how it is meant."""

from typing import NamedTuple

from torch import Tensor

from torch_ref.diagnosis.graph.alike import Group
from torch_ref.diagnosis.graph.change import Change
from torch_ref.diagnosis.graph.trace import Edits, Trace

BACKWARD, RECOMPUTED, VALUE, FORWARD, DERIVATIVE = "backward", "recomputed", "value", "forward", "derivative"


class Explanation(NamedTuple):
    """A change at a group of nodes; how it is meant; what it explains, together with another one before it perhaps.

    way: a node of the backward pass (backward); a value of the forward pass, in the backward pass alone (recomputed)
    or in both (value); an operator of the forward pass, differentiated again (forward), or its derivative alone.
    """

    way: str
    group: Group
    change: Change
    tensors: frozenset[str]
    held: Group = ()
    before: "Explanation | None" = None

    @property
    def edits(self) -> Edits:
        """The change at each of the nodes, and the changes before."""
        return {**(self.before.edits if self.before else {}), **dict.fromkeys(self.group, self.change.value)}


def made_by(trace: Trace, way: str, edits: Edits, held: Group = ()) -> dict[str, Tensor]:
    """All that comes out, everything computed anew: so that its noise can be measured."""
    if way in (FORWARD, DERIVATIVE):
        return trace.differentiated(edits, frozenset(held))
    made = trace.replay(edits, trace.everything) or {}
    return {name: tensor for name, tensor in made.items() if way != RECOMPUTED or name in trace.case.differentiated}
