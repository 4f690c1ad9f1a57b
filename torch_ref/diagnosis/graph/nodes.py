"""One node of a graph: of which pass it is, and what computes it."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.fx import Node

from torch_ref.torch_private import operator_of, tracing

aten: Any = torch.ops.aten
OURS = Path(torch.__file__).parent, Path(__file__).parents[2]  # lines of torch and of this package say little
Values: TypeAlias = list[Any]  # of the nodes, by position
INDEXED = {
    *(aten.gather, aten.scatter, aten.scatter_add, aten.scatter_reduce, aten.index, aten.index_put, aten.index_select),
    *(aten.index_add, aten.embedding),
}


@cache
def own_lines(stack: str) -> tuple[str, ...]:
    """The lines of a stack that are the user's own, the innermost last: each with its place before it."""
    lines = []
    for frame in stack.split('File "')[1:]:
        path, _, rest = frame.partition('"')
        where, *code = rest.splitlines()
        code = [line.strip() for line in code if set(line.strip()) - set("~^")]
        if code and not any(Path(path).is_relative_to(folder) for folder in OURS):
            lines.append(f"{path}{where.replace(':', '')}: {code[0]}")
    return tuple(lines)


def is_backward(node: Node) -> bool:
    """Whether a node belongs to the backward pass."""
    return "autograd_backward" in node.meta


def is_real(value: Any) -> bool:
    """Whether this is a tensor of floating-point numbers."""
    return isinstance(value, Tensor) and value.is_floating_point()


def is_real_or_mask(value: Any) -> bool:
    """Whether this is what an edit of the backward pass may change."""
    return is_real(value) or (isinstance(value, Tensor) and value.dtype is torch.bool)


def trusts_integers(node: Node) -> bool:
    """Whether its kernel takes a tensor's integers as they are, places in another: others may end the process."""
    if torch.Tag.pointwise in getattr(node.target, "tags", ()):
        return False
    given = [other.meta.get("val") for other in node.all_input_nodes]
    is_selection = any(map(_is_whole, given)) and any(map(is_real, given))
    return is_selection and getattr(node.target, "overloadpacket", None) not in INDEXED


def _is_whole(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype in (torch.int64, torch.int32)


@cache
def _with_its_integers(node: Node) -> Callable[..., Any]:
    """Its operator, which takes no other integers than those that it was given first, as it was traced."""
    first: list[Tensor] = []

    def call(*args: Any, **kwargs: Any) -> Any:
        integers = [a for a in args if _is_whole(a)]
        if not first:
            first.extend(integers)
        if len(first) != len(integers) or not all(map(torch.equal, first, integers)):
            raise ValueError(f"{node.target} would trust these")
        return node.target(*args, **kwargs)  # type: ignore[operator]  # an operator

    return call


def target_of(node: Node) -> Any:
    """An edit may have changed the strides: a view then has to copy. And a copy has no derivative."""
    if node.target is aten.copy.default:
        return lambda old, new, *_: new.expand_as(old).to(old.dtype)
    if trusts_integers(node):
        return _with_its_integers(node)
    return torch.reshape if node.target in (aten.view.default, operator_of("_unsafe_view").default) else node.target


def compiled(node: Node, position: Mapping[Node, int]) -> Callable[[Values], Any]:
    """What computes a node from the values of the others, quickly where its arguments are plain; itself, if given."""
    if node.op != "call_function":
        i = position[node]
        return lambda values: values[i]
    target = target_of(node)
    plain = not any(isinstance(a, list | tuple | dict) and _has_node(a) for a in (*node.args, *node.kwargs.values()))
    if plain and not any(isinstance(a, Node) for a in node.kwargs.values()):
        arguments, kwargs = list(node.args), dict(node.kwargs)
        places = [(j, position[a]) for j, a in enumerate(arguments) if isinstance(a, Node)]

        def quick(values: Values) -> Any:
            resolved = arguments.copy()
            for j, i in places:
                resolved[j] = values[i]
            return target(*resolved, **kwargs)

        return quick
    resolve = tracing().map_arg

    def general(values: Values) -> Any:
        args, kwargs = resolve((node.args, dict(node.kwargs)), lambda other: values[position[other]])
        return target(*args, **kwargs)

    return general


def _has_node(argument: Any) -> bool:
    parts = argument.values() if isinstance(argument, dict) else argument
    return any(isinstance(part, Node) for part in parts)
