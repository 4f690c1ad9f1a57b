"""Writes into tensors and into views of them become values of their own: a replay must not change what is kept."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.fx import Graph, GraphModule, Node

from torch_ref.torch_private import out_of_place, writes

aten: Any = torch.ops.aten
# Of a view, what gives the whole with another value in that place.
SCATTERED = {
    aten.select.int: aten.select_scatter.default,
    aten.slice.Tensor: aten.slice_scatter.default,
    aten.diagonal.default: aten.diagonal_scatter.default,
}
SAME = {aten.alias.default, aten.detach.default}
TAKEN = "a view by strides"  # what was one, in the meta of a node
BEFORE = "the gradient to all that was written before"  # what is given on where a part of a gradient is taken out


def make_functional(module: GraphModule) -> None:
    """`S[:, t] = h` becomes a new S, with h in that place, and what looks into S after that looks into the new one.

    Raises NotImplementedError where it is not known which part of a tensor was written, and the tensor is used again.
    """
    graph = module.graph
    for node in list(graph.nodes):
        if node.target is aten.as_strided.default:
            _take_apart(module, node)
    values = _Values(graph)
    for node in list(graph.nodes):
        looks_into = node.args[0] if _is_view(node) or _writes(node) else None
        for argument in node.all_input_nodes:
            node.replace_input_with(argument, values.now(argument, node))
        if isinstance(looks_into, Node):
            values.look(node, looks_into)
            if _writes(node):
                node.target = out_of_place(node.target) or node.target
                values.write(looks_into, node)


def _is_view(node: Node) -> bool:
    """Whether it looks into a tensor; into parts that come several at once, a model can't write."""
    is_view = getattr(node.target, "is_view", False) or TAKEN in node.meta
    return is_view and isinstance(node.meta["val"], torch.Tensor)


def _writes(node: Node) -> bool:
    return isinstance(node.target, type(aten.add.Tensor)) and writes(node.target)


@dataclass
class _Values:
    """Of each tensor and view, the node that has its value now.

    whole: of a view, and of what a write returns, the tensor that it looks into. writes: of a tensor that looks into no
    other, how often something was written into it or into a view of it; seen: of a view, how often when it was taken.
    """

    graph: Graph
    whole: dict[Node, Node] = field(default_factory=dict)
    value: dict[Node, Node | None] = field(default_factory=dict)  # None: not known
    writes: dict[Node, int] = field(default_factory=dict)
    seen: dict[Node, int] = field(default_factory=dict)

    def look(self, view: Node, whole: Node) -> None:
        """From now on, this node looks into that one."""
        self.whole[view] = whole
        self.seen[view] = self.writes.get(self._root(view), 0)

    def now(self, node: Node, user: Node) -> Node:
        """The node with the value; a view of what was written into since is taken anew, before its user."""
        count = self.writes.get(self._root(node), 0)
        if self.seen.get(node, 0) < count:
            again = self.now(self.whole[node], user)
            if _is_view(node):
                with self.graph.inserting_before(user):
                    again = self.graph.create_node("call_function", node.target, (again, *node.args[1:]), node.kwargs)
                again.meta = node.meta.copy()
            self.value[node], self.seen[node] = again, count
        if (value := self.value.get(node, node)) is None:
            raise NotImplementedError(f"a write into a part of {node.target}")
        return value

    def write(self, target: Node, value: Node) -> None:
        """The target has this value; so what that looks into has another value too, and so on."""
        made: dict[Node, Node | None] = {value: value, target: value}
        whole_value: Node | None = value
        while target in self.whole:
            whole = self.whole[target]
            if whole_value and _is_view(target) and target.target not in SAME:
                before = self.now(whole, value)
                with self.graph.inserting_after(value):
                    whole_value = self._scattered(target, before, whole_value, value.meta)
                value = whole_value or value
            made[whole] = whole_value
            target = whole
        self.writes[target] = self.writes.get(target, 0) + 1
        self.value |= made
        self.seen |= dict.fromkeys(made, self.writes[target])

    def _root(self, node: Node) -> Node:
        while node in self.whole:
            node = self.whole[node]
        return node

    def _scattered(self, view: Node, whole: Node, value: Node, meta: dict[str, Any]) -> Node | None:
        """The whole, with this value where the view looks."""
        shape = list(whole.meta["val"].shape)
        arguments: tuple[Any, ...] = (value, *view.args[1:])
        target: Any = view.target  # to exchange two axes again
        if target in SCATTERED:
            target, arguments = SCATTERED[target], (whole, *arguments)
        elif TAKEN in view.meta:
            target, arguments = aten.put.default, (whole, view.args[1], value)
        elif target is aten.permute.default:
            order: Any = view.args[1]
            arguments = (value, np.argsort([axis % len(shape) for axis in order]).tolist())
        elif target not in (aten.transpose.int, aten.t.default):
            if view.meta["val"].numel() != whole.meta["val"].numel():
                return None
            target, arguments = aten.reshape.default, (value, shape)  # the same in another shape
        made = self.graph.create_node("call_function", target, arguments)
        made.meta = {**meta, "val": whole.meta["val"]}
        if "autograd_backward" in meta:
            made.meta["custom"] = {**meta.get("custom", {}), "role": BEFORE}
        return made


def _take_apart(module: GraphModule, node: Node) -> None:
    """A view by strides as selections and slices: autograd's backward pass of `S[:, t] = h` has such."""
    graph, given = module.graph, node.args  # type: Graph, Any
    whole, sizes, strides, *start = given
    value = whole.meta["val"]
    places = _offsets(value.shape, value.stride())
    seen = _offsets(sizes, strides, start[0] or 0 if start else 0)
    view = whole
    with graph.inserting_before(node):
        for target, arguments in _selections(places, seen):
            places = target(places, *arguments)
            view = graph.create_node("call_function", target, (view, *arguments))
            view.meta = {**node.meta, "val": torch.empty(places.shape, dtype=value.dtype)}
        if not torch.equal(places, seen):  # the elements one by one
            ordered, order = places.flatten().sort()
            index = order[torch.searchsorted(ordered, seen)]
            module.register_buffer(name := f"places_{len(graph.nodes)}", index)
            constant = graph.get_attr(name)
            constant.meta = {"val": index}
            view = graph.create_node("call_function", aten.take.default, (whole, constant))
            view.meta = {**node.meta, "val": torch.empty(index.shape, dtype=value.dtype), TAKEN: True}
    node.replace_all_uses_with(view)
    graph.erase_node(node)


def _offsets(sizes: Sequence[int], strides: Sequence[int], start: int = 0) -> torch.Tensor:
    """Of each element, where it is in memory."""
    offsets = torch.tensor(start)
    for size, stride in zip(sizes, strides, strict=True):
        offsets = offsets[..., None] + stride * torch.arange(size)
    return offsets


def _selections(places: torch.Tensor, seen: torch.Tensor) -> list[tuple[Any, tuple[Any, ...]]]:
    """Operators and arguments that pick the elements at some places, the last axis first; none, if they pick others."""
    is_seen, picked = torch.isin(places, seen), places
    found: list[tuple[Any, tuple[Any, ...]]] = []
    for axis in reversed(range(places.dim())):
        used = is_seen.movedim(axis, 0).reshape(places.shape[axis], -1).any(1).nonzero()[:, 0].tolist()
        if len(used) == 1 < places.shape[axis]:
            found.append((aten.select.int, (axis, used[0])))
        elif 1 < len(used) < places.shape[axis]:
            found.append((aten.slice.Tensor, (axis, used[0], used[-1] + 1, used[1] - used[0])))
    for target, arguments in found:
        picked = target(picked, *arguments)
    if not torch.equal(picked.flatten(), seen.flatten()):
        return []
    return found if picked.shape == seen.shape else [*found, (aten.reshape.default, ([*seen.shape],))]
