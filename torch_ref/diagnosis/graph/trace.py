"""The results and gradients of one case as one graph of primitive operators, and their replay with edits."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from torch_ref.cases.case import Case, Numbers
from torch_ref.diagnosis.graph.nodes import Values, compiled, is_backward, is_real_or_mask, target_of
from torch_ref.diagnosis.graph.numbering import numbers
from torch_ref.diagnosis.named_numbers import written
from torch_ref.torch_private import tracing

aten: Any = torch.ops.aten
Edit: TypeAlias = Callable[["Trace", Values, Node], Any]  # another value of a node; its own is there already
Edits: TypeAlias = Mapping[int, Edit]  # by position


class Trace:
    """The nodes in order, their values, and which outputs each of them reaches.

    outputs: the position of each result and gradient, by the names of the case. backward: the positions of the nodes
    of the backward pass that may be edited; forward: those of the forward pass.
    """

    def __init__(self, graph: GraphModule, case: Case, arguments: Sequence[Tensor], names: Sequence[str]) -> None:
        self.case, self.graph = case, graph
        self.nodes = [node for node in graph.graph.nodes if node.op != "output"]
        self.position = {node: i for i, node in enumerate(self.nodes)}
        (out,) = (node for node in graph.graph.nodes if node.op == "output")
        self.outputs = {name: self.position[node] for name, node in zip(names, out.args[0], strict=True)}
        self.ends: dict[int, list[str]] = {}
        for name, i in self.outputs.items():
            self.ends.setdefault(i, []).append(name)
        given, self.values = iter(arguments), []
        self.calls = [compiled(node, self.position) for node in self.nodes]
        for node, call in zip(self.nodes, self.calls, strict=True):
            if node.op == "placeholder":
                self.values.append(next(given))
            elif node.op == "get_attr":
                self.values.append(getattr(graph, node.target).detach().clone())
            else:
                self.values.append(call(self.values))
        self.reach = self._reach()
        self._sizes: dict[tuple[int, float], set[str]] = {}
        self._after: dict[tuple[int, ...], list[int]] = {}
        self._between: dict[tuple[int, ...], list[int]] = {}
        used = [i for i, names in enumerate(self.reach) if names and self.nodes[i].op == "call_function"]
        self.backward = [i for i in used if is_backward(self.nodes[i]) and is_real_or_mask(self.values[i])]
        self.forward = [i for i in used if not is_backward(self.nodes[i])]

    def _reach(self) -> list[frozenset[str]]:
        """Of each node, the names of the outputs that it reaches."""
        reach: list[frozenset[str]] = [frozenset()] * len(self.nodes)
        for name, i in self.outputs.items():
            reach[i] |= {name}
        for i in reversed(range(len(self.nodes))):
            for node in self.nodes[i].all_input_nodes if reach[i] else ():
                reach[self.position[node]] |= reach[i]
        return reach

    @cached_property
    def users(self) -> list[list[int]]:
        """Of each node, the positions of those that use it."""
        return [[self.position[user] for user in node.users if user in self.position] for node in self.nodes]

    @cached_property
    def blocks(self) -> dict[int, list[int]]:
        """The positions of the nodes of each operator of the forward pass and of its backward pass, by its number."""
        blocks: dict[int, list[int]] = {}
        for i in self.everything:
            blocks.setdefault(self.number(i), []).append(i)
        return blocks

    def number(self, i: int) -> int:
        """The number of the differentiable operator that a node belongs to. Others have one of their own, below 0."""
        return self._numbers[i]

    @cached_property
    def _numbers(self) -> list[int]:
        differentiated: list[bool] = []
        for i, node in enumerate(self.nodes):
            given = i < len(self.names) and self.names[i] in self.case.differentiated
            differentiated.append(given or any(differentiated[self.position[other]] for other in node.all_input_nodes))
        return numbers(self.nodes, differentiated)

    @cached_property
    def everything(self) -> list[int]:
        """The positions of all that is computed and used."""
        return [i for i, node in enumerate(self.nodes) if node.op == "call_function" and self.reach[i]]

    @cached_property
    def gradients(self) -> frozenset[int]:
        """The nodes of the backward pass that are computed from the gradient that is given."""
        found = set(self.given)
        for i in self.everything:
            inputs = [self.position[other] for other in self.nodes[i].all_input_nodes]
            if is_backward(self.nodes[i]) and not found.isdisjoint(inputs):
                found.add(i)
        return frozenset(found)

    @cached_property
    def given(self) -> set[int]:
        """The upstream gradients; or the 1 that is the gradient of the loss to itself."""
        if self.case.upstream:
            return {i for i, name in enumerate(self.names) if name in self.case.upstream}
        results = {self.nodes[i] for name, i in self.outputs.items() if name not in self.case.differentiated}
        ones = aten.full_like.default, aten.ones_like.default
        return {i for i in self.everything if self.nodes[i].target in ones and self.nodes[i].args[0] in results}

    def after(self, positions: Iterable[int]) -> list[int]:
        """These and all that is computed from them, in order."""
        if (key := tuple(positions)) not in self._after:
            self._after[key] = self._computed_from(key)
        return self._after[key]

    def _computed_from(self, positions: tuple[int, ...]) -> list[int]:
        found, new = set(positions), list(positions)
        while new:
            users = [user for user in self.users[new.pop()] if user not in found and self.reach[user]]
            found.update(users)
            new += users
        return sorted(found)

    def reached(self, positions: Iterable[int]) -> frozenset[str]:
        """The names of the outputs that they reach."""
        return frozenset().union(*(self.reach[i] for i in positions))

    def call(self, node: Node, values: Values, args: Sequence[Any] | None = None, **kwargs: Any) -> Any:
        """What a node's operator gives, with other arguments perhaps."""
        if args is None and not kwargs:
            return self.calls[self.position[node]](values)
        resolve = tracing().map_arg
        args, kwargs = (
            resolve(part, lambda other: values[self.position[other]])
            for part in (node.args if args is None else tuple(args), {**node.kwargs, **kwargs})
        )
        return target_of(node)(*args, **kwargs)

    def arg(self, node: Node, j: int, values: Values) -> Any:
        """The value of an argument."""
        argument = node.args[j]
        return values[self.position[argument]] if isinstance(argument, Node) else argument

    def learn_sizes(self, other: "Trace") -> None:
        """Which numbers are a size of the case, or so many times one: the same graph of another case has others."""
        for i, (node, its) in enumerate(zip(self.nodes, other.nodes, strict=True)):
            for number, another in zip(node.args, its.args, strict=True):
                if isinstance(number, int | float) and isinstance(another, int | float):
                    names = {
                        name
                        for name, size in self.case.sizes.items()
                        if number != another and number * other.case.sizes[name] == another * size
                    }
                    self._sizes[i, number] = names & self._sizes.get((i, number), names)

    def constant(self, i: int, number: Any) -> str:
        """How a number among the arguments of a node is written: a size by its name."""
        if not isinstance(number, int | float):
            return str(number)
        for name in sorted(self._sizes.get((i, number), ())):
            size = self.case.sizes[name]
            return name if number == size else f"{number / size:g} · {name}"
        return written(number) if isinstance(number, float) else str(number)

    def between(self, start: Iterable[int], end: int) -> list[int]:
        """What is computed from the one and for the other, both included, in order."""
        if (key := (end, *start)) not in self._between:
            before, new = set(), [end]
            while new:
                before.add(i := new.pop())
                new += [j for other in self.nodes[i].all_input_nodes if (j := self.position[other]) not in before]
            self._between[key] = [i for i in self.after(start) if i in before]
        return self._between[key]

    @cached_property
    def names(self) -> list[str]:
        """Of the arguments, which are the first nodes."""
        return list(self.case.arguments)

    def numbers(self, tensors: Mapping[str, Tensor]) -> Numbers:
        """Outputs as arrays in the shapes of the case; those not given are as they were."""
        made = {name: tensors.get(name, self.values[i]) for name, i in self.outputs.items()}
        shapes = {name: array.shape for name, array in self.case.arguments.items()}
        arrays = {name: tensor.detach().numpy() for name, tensor in made.items()}
        return {
            name: array.reshape(shapes[name])
            if name in shapes and array.size == self.case.arguments[name].size
            else array
            for name, array in arrays.items()
        }
