"""What is wrong where another value stands in the place of the right one."""

from torch_ref.diagnosis.graph.formulas import as_taken, formula, named, of
from torch_ref.diagnosis.graph.indices import is_index
from torch_ref.diagnosis.graph.naming import argument, subject, told_apart
from torch_ref.diagnosis.graph.nodes import is_backward
from torch_ref.diagnosis.graph.origin import origin_of
from torch_ref.diagnosis.graph.signs import SILENT
from torch_ref.diagnosis.graph.trace import Trace
from torch_ref.diagnosis.graph.uses import step_of
from torch_ref.diagnosis.graph.vocabulary import operator

BETWEEN = "what lies between"
MOST = 4  # operators that are told


def another(trace: Trace, i: int, j: int, other: int, taken: int) -> str:
    """A value that is another one's."""
    is_term = is_backward(trace.nodes[other]) and other not in trace.gradients
    name = formula(trace, other, 3, top=False) if is_term else named(trace, other)
    what, right = subject(trace, other) if other in trace.gradients else name, argument(trace, i, j)
    if taken in trace.after([other]) and taken in trace.gradients and other in trace.gradients:
        if trace.nodes[taken].meta.get("is_gradient_acc"):
            return f"{subject(trace, other)} stands in place of the sum of all that comes in"
        if (left := left_between(trace, other, taken)) != BETWEEN:
            return f"{subject(trace, other)} is passed on as it is: {left} is skipped"
    what = as_taken(trace, taken, other, what)
    if what != right:
        return f"{what} is used in place of {right}"
    late = step_of(trace, other) - step_of(trace, taken)
    if late:
        return f"{right} is that of another step, {'later' if late > 0 else 'earlier'}"
    there, belongs = told_apart(trace, other, taken)
    return f"{there} is used in place of {belongs}" if there != belongs else f"in place of {right} there is another one"


def substituted(trace: Trace, _i: int, shown: int, other: int) -> str:
    """Another value wherever the backward pass takes one."""
    there, belongs = named(trace, other), named(trace, shown)
    return f"{there if there != belongs else 'another one'} is used in place of {belongs}"


def updated(_trace: Trace, _i: int, name: str, rate: float) -> str:
    """A parameter after a step."""
    there = f"`{name}` - {rate:.6g} · its gradient is used in place of `{name}`"
    return f"{there}: it is updated before all gradients are computed"


def left_between(trace: Trace, start: int, end: int) -> str:
    """The operators that a gradient goes back through between one node and another, the latter included."""
    passed = [i for i in trace.between([start], end) if i != start and i in trace.gradients]
    names = dict.fromkeys(
        f"the {operator(origin_of(trace, i).operator)}{of(origin_of(trace, i).module)}"
        for i in passed
        if trace.number(i) != trace.number(start) and trace.number(i) >= 0 and trace.nodes[i].target not in SILENT
    )
    if not 0 < len(names) < MOST:
        return BETWEEN
    return f"the backward pass of {' and of '.join(names)}"


def _index(trace: Trace, i: int) -> str:
    """What an index is called, or what it was made from."""
    name = named(trace, i)
    inputs = [j for of in trace.nodes[i].all_input_nodes if is_index(trace.values[j := trace.position[of]])]
    return _index(trace, inputs[0]) if inputs and name.startswith(("the ", "a ")) else name


def another_index(trace: Trace, i: int, taken: int, other: int) -> str:
    """An index in the place of another; or any whole numbers, such as a mask of 0 and 1."""
    there, belongs = (_index(trace, of) for of in (other, taken))
    if "mul" in str(trace.nodes[i].target) and there != belongs:
        return f"{there} is used in place of {belongs}"
    return f"the index is {there}, not {belongs}" if there != belongs else f"the index is another one than {belongs}"
