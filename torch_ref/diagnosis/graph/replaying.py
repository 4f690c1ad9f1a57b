"""A traced case computed again, with edits."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from torch_ref.diagnosis.graph.nodes import Values, is_backward, is_real
from torch_ref.diagnosis.graph.trace import Edits, Trace


def replay(
    trace: Trace,
    edits: Edits,
    order: Sequence[int],
    accept: Callable[[str, Tensor], bool] = lambda *_: True,
    *,
    taken: bool = False,
) -> dict[str, Tensor] | None:
    """The outputs that change when edits are made and `order`, what follows from them, is computed again.

    None as soon as an output is not accepted. taken: the forward pass does not see the edits.
    """
    values, made = trace.values.copy(), {}
    seen = values.copy() if taken else values  # by the backward pass
    for i in order:
        if trace.nodes[i].op != "call_function":  # what is given
            pass
        elif taken and not is_backward(trace.nodes[i]):
            seen[i] = values[i] = trace.calls[i](values)
        else:
            seen[i] = trace.calls[i](seen)
        if i in edits:
            seen[i] = edits[i](trace, seen, trace.nodes[i])
        for name in trace.ends.get(i, ()):
            made[name] = seen[i]
            if not accept(name, seen[i]):
                return None
    return made


def value(trace: Trace, edits: Edits, end: int, *, taken: bool = False) -> Any:
    """What a node gives when edits are made."""
    values = trace.values.copy()
    for i in trace.between(edits, end):
        if not taken or i in edits or is_backward(trace.nodes[i]):
            values[i] = trace.calls[i](values) if trace.nodes[i].op == "call_function" else values[i]
            if i in edits:
                values[i] = edits[i](trace, values, trace.nodes[i])
    return values[end]


def differentiated(trace: Trace, edits: Edits, held: frozenset[int] = frozenset()) -> dict[str, Tensor]:
    """The outputs of the forward part, edited, and differentiated again. Nodes that are held keep their values."""
    values: Values = [None] * len(trace.nodes)
    leaves: dict[str, Tensor] = {}
    for i, node in enumerate(trace.nodes):
        if node.op != "call_function":
            values[i] = trace.values[i]
            name = trace.names[i] if i < len(trace.names) else ""
            if name in trace.case.differentiated:
                values[i] = leaves[name] = trace.values[i].detach().clone().requires_grad_()
            elif i in edits:
                values[i] = edits[i](trace, values, node)
        elif not is_backward(node) and trace.reach[i]:
            values[i] = trace.calls[i](values)
            if i in edits:
                values[i] = edits[i](trace, values, node)
            if i in held and is_real(values[i]):
                values[i] = trace.values[i] + (values[i] - values[i].detach())
    results = {name: values[i] for name, i in trace.outputs.items() if name not in trace.case.differentiated}
    roots = {name: result for name, result in results.items() if is_real(result) and result.requires_grad}
    upstream = [values[trace.names.index(name)] for name in trace.case.upstream] if trace.case.upstream else None
    grads = torch.autograd.grad(list(roots.values()), list(leaves.values()), upstream)
    return {**{name: result.detach() for name, result in results.items()}, **dict(zip(leaves, grads, strict=True))}
