"""Which nodes belong to one operator of the forward pass and to its backward pass: those of one number."""

from collections.abc import Sequence

from torch.fx import Node

from torch_ref.diagnosis.graph.nodes import is_backward, own_lines


def numbers(nodes: Sequence[Node], differentiated: Sequence[bool]) -> list[int]:
    """Of each node the number of its operator; below 0 and of its own, where nothing is differentiated.

    differentiated: of each node, whether what is differentiated comes into it. The numbers are those that torch gives
    to the operators that it differentiates; any other carries the number of one before it.
    """
    raw = [
        -1 if node.op != "call_function" or node.meta.get("is_gradient_acc") else node.meta.get("seq_nr", -1)
        for node in nodes
    ]
    backward = {number for number, node in zip(raw, nodes, strict=True) if is_backward(node)}
    first: dict[
        int, tuple[str, tuple[str, ...]]
    ] = {}  # by number, what was differentiated: the first that a gradient passes
    for i, node in enumerate(nodes):
        if raw[i] >= 0 and not is_backward(node) and differentiated[i]:
            if first.get(raw[i], ("",))[0].startswith("aten.clone") and raw[i] - 1 in backward:
                raw[i] -= 1  # in place: what it overwrites was copied after it had got its number
            if _kind_of(node)[0].startswith("aten.copy_") and raw[i] not in backward and raw[i] + 1 in backward:
                raw[i] += 1  # into a view: it got one more when it became known that it writes into a whole
            first.setdefault(raw[i], _kind_of(node))
    return [
        number if number >= 0 and (is_backward(node) or first.get(number) == _kind_of(node)) else -1 - i
        for i, (number, node) in enumerate(zip(raw, nodes, strict=True))
    ]


def _kind_of(node: Node) -> tuple[str, tuple[str, ...]]:
    """The operator that a node is a part of, and where it stands."""
    return str(node.meta.get("original_aten")), own_lines(node.meta.get("stack_trace", ""))
