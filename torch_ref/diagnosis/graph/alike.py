"""Nodes that are alike: those of each time step, those of one line. A mistake is often made at all of them."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, TypeAlias

from torch.fx import Node

from torch_ref.diagnosis.graph.gates import gate_of, gates
from torch_ref.diagnosis.graph.nodes import is_backward
from torch_ref.diagnosis.graph.origin import origin_of
from torch_ref.diagnosis.graph.time_steps import steps
from torch_ref.diagnosis.graph.trace import Trace

Group: TypeAlias = tuple[int, ...]  # positions


def groups(trace: Trace, positions: Sequence[int]) -> list[Group]:
    """Each node by itself; those of the same place in the source; those that look alike."""
    found: list[Group] = [(i,) for i in positions]
    found += same_source(trace, positions)
    for depth in range(3):
        found += _by(positions, lambda i, depth=depth: (_look(trace.nodes[i], depth), _shape(trace, i)))
    found += _by(positions, lambda i: (trace.nodes[i].target, trace.number(i)))
    return list(dict.fromkeys(found))


def same_source(trace: Trace, positions: Sequence[int]) -> list[Group]:
    """The nodes of the same place in the source: one of each time step, the first step's perhaps of fewer nodes."""
    exact = _by(positions, lambda i: (*_source(trace, i), _place(trace, i)))
    of_alike = _by(
        positions, lambda i: (*_source(trace, i), *(_given(trace, a) for a in trace.nodes[i].all_input_nodes))
    )
    to_alike = _by(positions, lambda i: (*_source(trace, i), *(_source(trace, user) for user in trace.users[i][:1])))
    loose = _by(positions, lambda i: _source(trace, i))
    of_gates = _by([i for i in positions if gate_of(trace, i)], lambda i: (gate_of(trace, i), _in_its_gate(trace, i)))
    found = list(dict.fromkeys(of_gates + exact + of_alike + to_alike + loose))
    return found + [part for group in found for part in _by_call(trace, group)]


def _in_its_gate(trace: Trace, i: int) -> tuple[Hashable, ...]:
    """The same in each layer and at each step: of a product, which factor it is multiplied by; the state may be 0."""
    node = trace.nodes[i]
    taken = [gates(trace).get(trace.position[a], "") for a in node.all_input_nodes if not is_backward(a)]
    given = tuple(name for name in taken if name and not name.endswith("_t`"))
    return str(node.target), is_backward(node), given or len(node.all_input_nodes)


def _by_call(trace: Trace, group: Group) -> list[Group]:
    """The nodes of each call, where a loop calls a function several times at each step."""
    if not in_steps(trace, group) or (calls := steps(trace)[trace.number(group[0])].calls) == 1:
        return []
    parts = _by(group, lambda i: steps(trace)[trace.number(i)].step % calls)
    return [part for part in parts if 1 < len(part) < len(group)]


def in_steps(trace: Trace, group: Group, *, of_layers: bool = False) -> bool:
    """Whether these are one node of each of several steps; of_layers: or of each layer of a recurrent network."""
    found = [step for i in group if (step := steps(trace).get(trace.number(i))) and step.steps > 1]
    if of_layers and gate_of(trace, group[0]) and all(gate_of(trace, i) == gate_of(trace, group[0]) for i in group):
        return len(group) > 1 and len({(step.operator, step.step) for step in found}) == len(group)
    return len(group) > 1 and len({step.step for step in found}) == len(group)


def _by(positions: Iterable[int], key: Any) -> list[Group]:
    parts: dict[Hashable, list[int]] = defaultdict(list)
    for i in positions:
        parts[key(i)].append(i)
    return [tuple(part) for part in parts.values()]


def _source(trace: Trace, i: int) -> tuple[Hashable, ...]:
    step = steps(trace).get(trace.number(i))
    return trace.nodes[i].target, origin_of(trace, i), step and step.operator, _shape(trace, i)


def _given(trace: Trace, argument: Node) -> Hashable:
    """What an argument is: of the same place in the forward pass, or a gradient."""
    return is_backward(argument) or _source(trace, trace.position[argument])[1:3]


def _place(trace: Trace, i: int) -> int:
    """Within its own operator and pass."""
    back = is_backward(trace.nodes[i])
    return [j for j in trace.blocks[trace.number(i)] if is_backward(trace.nodes[j]) is back].index(i)


def _shape(trace: Trace, i: int) -> tuple[int, ...]:
    return tuple(getattr(trace.values[i], "shape", ()))


def _look(argument: Any, depth: int) -> Hashable:
    """An operator and, so deep, what it is computed from."""
    if not isinstance(argument, Node):
        return str(argument)[:12]
    if argument.op != "call_function":
        return argument.op
    inner = tuple(_look(other, depth - 1) for other in argument.args) if depth else ()
    return str(argument.target), str(argument.meta.get("original_aten")), inner
