"""A value of the forward pass of which the backward pass has another one everywhere."""

from collections import defaultdict
from collections.abc import Iterator
from functools import cache, partial
from typing import Any

from torch import Tensor
from torch.fx import Node

from torch_ref.diagnosis.graph.alike import Group
from torch_ref.diagnosis.graph.change import OTHERS, Change
from torch_ref.diagnosis.graph.nodes import Values, is_backward, is_real
from torch_ref.diagnosis.graph.origin import origin_of
from torch_ref.diagnosis.graph.signs import VIEWS, shown
from torch_ref.diagnosis.graph.trace import Trace


def substituted(trace: Trace) -> Iterator[tuple[Group, Change]]:
    """Each other value in the place of one that the backward pass takes, at all nodes, of a line, at one."""
    by_content: dict[tuple[Any, int], list[int]] = defaultdict(list)
    for i in trace.forward:
        of = _shown(trace, i)
        if is_real(trace.values[of]) and any(is_backward(node) for node in trace.nodes[i].users):
            by_content[_content(trace, of)].append(i)
    for content, nodes in by_content.items():
        lines = [tuple(i for i in nodes if origin_of(trace, i).line == origin_of(trace, j).line) for j in nodes]
        for group in dict.fromkeys([tuple(nodes), *lines, *((i,) for i in nodes)]):
            for other in _known(trace).get(content[0], ()):
                if _content(trace, other) != content:
                    detail = _shown(trace, group[0]), other
                    yield group, Change(OTHERS, "substituted", detail, partial(_of_another, other))


@cache
def _content(trace: Trace, i: int) -> tuple[Any, int]:
    """The shape, and a hash of the elements."""
    value = trace.values[i]
    return value.shape, hash(value.numpy().tobytes())


def _shown(trace: Trace, i: int) -> int:
    """What a node only shows in another shape or order."""
    return trace.position[shown(trace.nodes[i], VIEWS)]


@cache
def _known(trace: Trace) -> dict[Any, list[int]]:
    """What the forward pass has, by shape, each value once."""
    seen: dict[tuple[Any, int], int] = {}
    for i in [*range(len(trace.names)), *trace.everything]:
        if is_real(trace.values[i]) and not is_backward(trace.nodes[i]) and _is_given(trace, i):
            seen.setdefault(_content(trace, i), i)
    by_shape: dict[Any, list[int]] = defaultdict(list)
    for (shape, _), i in seen.items():
        by_shape[shape].append(i)
    return by_shape


def _is_given(trace: Trace, i: int) -> bool:
    """Whether a candidate has it in its forward pass: no upstream gradient."""
    return i >= len(trace.names) or trace.names[i] not in trace.case.upstream


def _of_another(other: int, trace: Trace, values: Values, node: Node) -> Tensor:
    """What shows the one, showing the other."""
    if node.target not in VIEWS:
        return values[other]  # type: ignore[no-any-return]
    inner = _of_another(other, trace, values, node.args[0])  # type: ignore[arg-type]  # a view's first
    return trace.call(node, values, [inner, *node.args[1:]])  # type: ignore[no-any-return]
