"""Where an error enters that no change explains: between which operators of the backward pass."""

from torch_ref.diagnosis.graph.alike import Group, in_steps, same_source
from torch_ref.diagnosis.graph.influence import Influence
from torch_ref.diagnosis.graph.naming import goal
from torch_ref.diagnosis.graph.trace import Trace
from torch_ref.diagnosis.graph.where import addends, at_steps, place, source, told_at


def entry(trace: Trace, influence: Influence, wrong: frozenset[str], right: frozenset[str]) -> str:
    """Between which gradients on the way back, each of which alone could give the candidate's numbers.

    At one of them the error enters; those after it can give the numbers too, being wrong in their turn. What also gives
    something that is right is not likely wrong. Empty, if the numbers do not tell.
    """
    single: list[Group] = [(i,) for i in trace.backward if i in influence.jacobians]
    in_loops = [group for group in same_source(trace, [i for (i,) in single]) if in_steps(trace, group)]
    able = [group for group in in_loops + single if wrong <= trace.reached(group) and influence.tells(group, wrong)]
    found = [group for group in able if influence.may_explain(frozenset(group)) and not trace.reached(group) & right]
    if not found:
        return _before_what_is_right(trace, wrong, right) or _in_the_end(trace, wrong, right)
    first, last = (pick(found, key=lambda group: len(trace.after(group))) for pick in (max, min))
    early, late = (_told(trace, group) for group in (first, last))
    before = {trace.position[node] for i in first for node in trace.nodes[i].all_input_nodes} - set(first)
    if influence.may_explain(frozenset(before) & trace.gradients) or _joins(trace, first, last):
        if len(wrong) == 1 and _comes_out(trace, last, wrong):
            return ""  # that is nothing new
        return f"going back, the error enters in the backward pass of {late}, or before that"
    if early == late:
        return f"the error enters in the backward pass of {late}"
    return f"going back, the error enters in the backward pass of {early}, of {late}, or between the two"


def _comes_out(trace: Trace, group: Group, wrong: frozenset[str]) -> bool:
    """Whether the operator of a gradient gives what is wrong itself."""
    block = [j for i in group for j in trace.blocks.get(trace.number(i), ())]
    return any(name in wrong for j in block for name in trace.ends.get(j, ()))


def _joins(trace: Trace, first: Group, last: Group) -> bool:
    """Whether a gradient from elsewhere comes in between the two."""
    path = {i for end in last for i in trace.between(first, end)}
    given = {trace.position[node] for i in path - set(first) for node in trace.nodes[i].all_input_nodes}
    return not (given & trace.gradients) <= path


def _in_the_end(trace: Trace, wrong: frozenset[str], right: frozenset[str]) -> str:
    """Of each wrong tensor: that what comes in at its operator is right, if it gives something right as well."""
    told = []
    for name in sorted(wrong):
        parts = [i for i in addends(trace, trace.outputs[name]) if trace.nodes[i].op == "call_function"]
        block = {j for i in parts for j in trace.blocks.get(trace.number(i), ())}
        given = {trace.position[node] for i in block for node in trace.nodes[i].all_input_nodes}
        comes_in = [j for j in given - block if j in trace.gradients and name in trace.reach[j]]
        proofs = [trace.reach[j] & right for j in comes_in]
        if proofs and all(proofs):
            proof = " and ".join(map(trace.case.label, sorted(frozenset.intersection(*proofs) or proofs[0])))
            where = place(source(trace, parts[0]))
            told.append(
                f"{trace.case.label(name)} goes wrong in the end, in the backward pass of {where}: what comes in there "
                f"gives {proof} too, which is right"
            )
    return "; ".join(told)


def _before_what_is_right(trace: Trace, wrong: frozenset[str], right: frozenset[str]) -> str:
    """Between which operators a single mistake is: at a gradient that all is computed from that is wrong, and no other.

    Where every result is right, and more than one gradient wrong.
    """
    region = [i for i in trace.backward if wrong <= trace.reach[i] and trace.reach[i].isdisjoint(right)]
    results_right = trace.outputs.keys() - set(trace.case.differentiated) <= right
    if not results_right or len(wrong) < 2 or not (region := [i for i in region if i in trace.gradients]):
        return ""
    first, last = (pick(region, key=lambda i: len(trace.after([i]))) for pick in (max, min))
    early, late = (_told(trace, (i,)) for i in (first, last))
    between = f"of {early}" if early == late else f"of {early}, of {late}, or between the two, going back"
    if early != late and (_joins(trace, (first,), (last,)) or trace.given & set(region)):
        between = f"of {late}, or before that"
    return f"if it is one mistake that makes all of these wrong, it is in the backward pass {between}"


def _told(trace: Trace, group: Group) -> str:
    """The place, and the name of what the gradient is to."""
    to = goal(trace, told_at(trace, group[0]))
    return f"{place(source(trace, group[0]))}{at_steps(trace, group)}" + (f" (in the gradient to {to})" if to else "")
