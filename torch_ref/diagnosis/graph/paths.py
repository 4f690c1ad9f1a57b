"""The paths on which a gradient comes back to a value, and where it goes on to."""

from collections.abc import Iterator
from typing import Any

from torch.fx import Node

from torch_ref.diagnosis.graph.formulas import named
from torch_ref.diagnosis.graph.gates import gate_of, gates
from torch_ref.diagnosis.graph.nodes import is_backward
from torch_ref.diagnosis.graph.origin import origin_of
from torch_ref.diagnosis.graph.quoted import quoted
from torch_ref.diagnosis.graph.signs import SILENT, shown
from torch_ref.diagnosis.graph.time_steps import in_time
from torch_ref.diagnosis.graph.trace import Trace
from torch_ref.diagnosis.graph.vocabulary import operator


def ends_of(trace: Trace, i: int) -> Iterator[int | str]:
    """The outputs that a gradient is, or the numbers of the operators that it goes on to."""
    yield from trace.ends.get(i, ())
    for user in trace.users[i]:
        node = trace.nodes[user]
        if node.meta.get("is_gradient_acc") or trace.number(user) == trace.number(i):
            yield from ends_of(trace, user)
        else:
            yield trace.number(user)


def paths(trace: Trace, argument: Any) -> list[str]:
    """What the gradients are of that are added up here."""
    if argument.meta.get("is_gradient_acc"):
        return [path for addend in argument.args for path in paths(trace, addend)]
    if argument.op == "placeholder":
        return [DIRECT]
    i = trace.position[argument]
    there = [j for j in trace.blocks.get(trace.number(i), ()) if not is_backward(trace.nodes[j])]
    result = named(trace, there[-1]) if there and trace.nodes[there[-1]].target not in SILENT else ""
    origin = origin_of(trace, i)
    kind = f"the {operator(origin.operator)}" + (f" of `{origin.module[0]}`" if origin.module[0] else "")
    if there and there[-1] in gates(trace) and "split" not in origin.operator:
        return [f"the {operator(origin.operator)} {'' if ' ' in result else 'that gives '}{result}"]
    return [result if "`" in result and not origin.module[0] else kind]


MOVING = "the stack", "the split", "the concatenation"  # what only moves values says less than what computes
DIRECT = "a sum as it is (a skip connection)"


def listed(paths: list[str]) -> str:
    """In a row, each once."""
    return " and ".join(dict.fromkeys(paths))


def one_path(trace: Trace, node: Node, j: int) -> str:
    """Of the paths on which a gradient comes back, what is missing and what is there."""
    missing, there = (_paths_of_sum(trace, node, node.args[k]) for k in (1 - j, j))
    missing = [path for path in missing if not path.startswith(MOVING)] or missing
    if len(set(missing + there)) == 1:
        if in_time(trace, trace.position[node.args[j]]):
            return "the gradients of several steps are not added up, some are missing"
        return "of the gradients back through the same operator at several places, some are not added"
    rest = (
        ""
        if any(user.meta.get("is_gradient_acc") for user in node.users)
        else f", only that {_through(there)} is there"
    )
    one_of = "one of " if set(missing) & set(there) else ""
    to = _summed_for(trace, trace.position[node])
    of = f" to {to}" if "`" in to and to not in missing else ""
    return f"{one_of}the gradient{'s' * bool(one_of)}{of} {_through(missing)} is missing{rest}"


def _paths_of_sum(trace: Trace, whole: Node, part: Any) -> list[str]:
    """The paths of a part of a sum."""
    return [DIRECT] if is_direct(trace, whole, part) else paths(trace, part)


def is_direct(trace: Trace, whole: Node, part: Any) -> bool:
    """Whether a part of a sum of gradients came as it is: from no operator that takes the value that it is of."""
    if part.op == "placeholder":
        return True
    if gate_of(trace, trace.position[part]):
        return False
    other: Any = next(argument for argument in whole.args if argument is not part)
    if any(of.op == "placeholder" or of.meta.get("is_gradient_acc") for of in (part, other)):
        return False
    there, others = (_forward(trace, trace.number(trace.position[of])) for of in (part, other))
    goes_through_both = not set(there).isdisjoint(trace.after(others))
    arguments, of_other = _arguments(trace, there), _arguments(trace, others)
    return bool(arguments and of_other and arguments.isdisjoint(of_other) and goes_through_both)


def _forward(trace: Trace, number: int) -> list[int]:
    return [j for j in trace.blocks.get(number, ()) if not is_backward(trace.nodes[j])]


def _arguments(trace: Trace, there: list[int]) -> set[int]:
    """What an operator of the forward pass takes, whatever shape it is shown in."""
    given = {shown(a) for j in there for a in trace.nodes[j].all_input_nodes}
    return {trace.position[node] for node in given} - set(there)


def _value_of(trace: Trace, i: int) -> list[int]:
    """The nodes of the one operator that gives the value that a gradient is to; none, if there are several."""
    numbers = {end for end in ends_of(trace, i) if isinstance(end, int)}
    there = [j for number in numbers for j in trace.blocks.get(number, ()) if not is_backward(trace.nodes[j])]
    return there if len(numbers) == 1 else []


def _summed_for(trace: Trace, i: int) -> str:
    """The value that a sum of gradients is the gradient to: what the one operator gives that it goes on to."""
    if not (there := _value_of(trace, i)):
        return ""
    return quoted(trace, there[-1]) or ("" if trace.nodes[there[-1]].target in SILENT else named(trace, there[-1]))


def _through(paths: list[str]) -> str:
    return f"back through {listed(paths)}"
