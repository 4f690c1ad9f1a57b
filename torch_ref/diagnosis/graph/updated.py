"""A parameter that was updated before the gradients that need it were computed: W - η ∂L/∂W in the place of W."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from torch import Tensor
from torch.fx import Node

from torch_ref.diagnosis.factors import plain
from torch_ref.diagnosis.graph.alike import Group
from torch_ref.diagnosis.graph.change import OTHERS, Change
from torch_ref.diagnosis.graph.nodes import Values, is_backward
from torch_ref.diagnosis.graph.replaying import replay
from torch_ref.diagnosis.graph.signs import PICKED, VIEWS, shown
from torch_ref.diagnosis.graph.trace import Trace


def updated(trace: Trace, yours: Mapping[str, Tensor], wrong: frozenset[str]) -> Iterator[tuple[Group, Change]]:
    """Of each parameter all places where a wrong gradient, and no right one, is computed with it; and η."""
    for name in trace.case.differentiated:
        users = {user for i in range(len(trace.nodes)) if _source(trace, i) == name for user in trace.users[i]}
        back = (i for i in users if is_backward(trace.nodes[i]) and i not in trace.given)
        group = tuple(sorted(i for i in back if trace.reach[i] and trace.reach[i] <= wrong))
        made = replay(trace, dict.fromkeys(group, partial(_with, name, 1.0)), trace.after(group)) if group else None
        above = below = 0.0
        for other, moved in (made or {}).items():
            if other in yours:
                right = trace.values[trace.outputs[other]]
                above += float(((yours[other] - right) * (moved - right)).sum())
                below += float(((moved - right) ** 2).sum())
        rate = plain(above / below, 1e-9) if below else 0.0
        if rate > 0:
            yield group, Change(OTHERS, "updated", (name, rate), partial(_with, name, rate))


def _source(trace: Trace, i: int) -> str:
    """The name of the argument that a node shows, or some rows of; nothing, if it computes something."""
    position = trace.position[shown(trace.nodes[i], VIEWS | PICKED)]
    return trace.names[position] if position < len(trace.names) else ""


def _with(name: str, rate: float, trace: Trace, values: Values, node: Node) -> Any:
    """An operator that is given the parameter after a step."""
    args = [
        _moved(name, rate, trace, a) if isinstance(a, Node) and _source(trace, trace.position[a]) == name else a
        for a in node.args
    ]
    return trace.call(node, values, args)


def _moved(name: str, rate: float, trace: Trace, node: Node) -> Tensor:
    """A parameter, or what shows it, after a step."""
    i = trace.position[node]
    if i < len(trace.names):
        return trace.values[i] - rate * trace.values[trace.outputs[name]].reshape(trace.values[i].shape)
    inner = _moved(name, rate, trace, node.args[0])  # type: ignore[arg-type]  # a view's first
    return trace.call(node, trace.values, [inner, *node.args[1:]])  # type: ignore[no-any-return]
