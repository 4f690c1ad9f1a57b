"""Where an error enters that no change explains: between which operators of the backward pass."""

from torch_ref.diagnosis.graph.alike import Group, in_steps, same_source
from torch_ref.diagnosis.graph.influence import Influence
from torch_ref.diagnosis.graph.naming import goal
from torch_ref.diagnosis.graph.trace import Trace
from torch_ref.diagnosis.graph.where import at_steps, place, source, told_at


def entry(trace: Trace, influence: Influence, wrong: frozenset[str]) -> str:
    """Between which gradients on the way back, each of which alone could give the candidate's numbers.

    At one of them the error enters; those after it can give the numbers too, being wrong in their turn. Empty, if the
    numbers do not tell.
    """
    single: list[Group] = [(i,) for i in trace.backward if i in influence.jacobians]
    in_loops = [group for group in same_source(trace, [i for (i,) in single]) if in_steps(trace, group)]
    found = [
        group
        for group in in_loops + single
        if wrong <= trace.reached(group) and influence.tells(group, wrong) and influence.may_explain(frozenset(group))
    ]
    if not found:
        return ""
    first, last = (pick(found, key=lambda group: len(trace.after(group))) for pick in (max, min))
    early, late = (_told(trace, group) for group in (first, last))
    before = {trace.position[node] for i in first for node in trace.nodes[i].all_input_nodes} - set(first)
    if influence.may_explain(frozenset(before) & trace.gradients):
        block = [j for i in last for j in trace.blocks.get(trace.number(i), ())]
        if not wrong.isdisjoint(name for j in block for name in trace.ends.get(j, ())):
            return ""  # where what is wrong comes out: that is nothing new
        return f"going back, the error enters in the backward pass of {late}, or before that"
    if early == late:
        return f"the error enters in the backward pass of {late}"
    return f"going back, the error enters in the backward pass of {early}, of {late}, or between the two"


def _told(trace: Trace, group: Group) -> str:
    """The place, and the name of what the gradient is to."""
    to = goal(trace, told_at(trace, group[0]))
    return f"{place(source(trace, group[0]))}{at_steps(trace, group)}" + (f" (in the gradient to {to})" if to else "")
