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


def target_of(node: Node) -> Any:
    """An edit may have changed the strides: a view then has to copy. And a copy has no derivative."""
    if node.target is aten.copy.default:
        return lambda old, new, *_: new.expand_as(old).to(old.dtype)
    return torch.reshape if node.target in (aten.view.default, operator_of("_unsafe_view").default) else node.target


def compiled(node: Node, position: Mapping[Node, int]) -> Callable[[Values], Any]:
    """What computes a node from the values of the others, quickly where its arguments are plain."""
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
