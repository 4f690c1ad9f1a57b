"""Where an error enters that no change explains: at which gradient of the backward pass."""

from torch_ref.diagnosis.graph.alike import Group, in_steps, same_source
from torch_ref.diagnosis.graph.influence import Influence
from torch_ref.diagnosis.graph.naming import subject
from torch_ref.diagnosis.graph.trace import Trace
from torch_ref.diagnosis.graph.words import at_steps, place, source


def entry(trace: Trace, influence: Influence, wrong: frozenset[str]) -> str:
    """The first gradient on the way back which alone, with some wrong value, gives the candidate's numbers.

    What comes after the error can give them too, if it is wrong in its turn; what comes before it can't. Empty, if the
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
    first = max(found, key=lambda group: len(trace.after(group)))
    where = f"the backward pass of {place(source(trace, first[0]))}{at_steps(trace, first)}"
    before = {trace.position[node] for i in first for node in trace.nodes[i].all_input_nodes} - set(first)
    is_here = not influence.may_explain(frozenset(before) & influence.gradients)
    return f"the error enters {'in' if is_here else 'no later than in'} {where}: {subject(trace, first[0])} is wrong"
