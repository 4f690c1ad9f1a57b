"""What the parts of torch's own RNN, GRU and LSTM are called: as in the formulas of PyTorch's documentation."""

import operator
import re
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.fx import Node

from torch_ref.diagnosis.graph.nodes import is_backward
from torch_ref.diagnosis.graph.trace import Trace

aten: Any = torch.ops.aten
LETTERS = {nn.RNN: "", nn.RNNCell: "", nn.GRU: "rzn", nn.GRUCell: "rzn", nn.LSTM: "ifgo", nn.LSTMCell: "ifgo"}
MEANT = {
    "": {"h": "the state"},
    "rzn": {"r": "the reset gate", "z": "the update gate", "n": "the new candidate", "h": "the state"},
    "ifgo": {
        "i": "the input gate",
        "f": "the forget gate",
        "g": "the cell's candidate",
        "o": "the output gate",
        "c": "the cell state",
        "h": "the hidden state",
    },
}
BEFORE = " of the step before"
PRODUCTS, SUMS = (aten.mul.Tensor, aten.sub.Tensor), (aten.add.Tensor,)
SQUASHED = aten.sigmoid.default, aten.tanh.default, aten.relu.default
MOVED = aten.clone.default, aten.view.default, aten.squeeze.dims, aten.slice.Tensor, aten.alias.default


def letters_of(module: nn.Module) -> dict[str, Any]:
    """What is noted of all that is computed within a module: the letters of its gates; whether it runs all steps."""
    is_layer = isinstance(module, nn.RNNBase)
    return {"letters": LETTERS[type(module)], "layer": is_layer} if type(module) in LETTERS else {}


def letters_at(trace: Trace, i: int) -> str | None:
    """The letters of the gates of the module that a node of either pass is of; None for any other than those."""
    return next((str(of["letters"]) for of in _noted(trace, i) if "letters" in of), None)


def is_of_layer(trace: Trace, i: int) -> bool:
    """Whether a node of either pass is of one of those modules that run all the steps by themselves."""
    return any(of.get("layer") for of in _noted(trace, i))


def _noted(trace: Trace, i: int) -> list[dict[str, Any]]:
    return [trace.nodes[j].meta.get("custom", {}) for j in trace.blocks.get(trace.number(i), ())]


@cache
def gates(trace: Trace) -> dict[int, str]:
    """By position, what a value of the forward pass within such a module is called."""
    said: dict[int, str] = {}
    block: dict[Node, int] = {}  # of what goes into a gate, which of the gates
    for i in trace.everything:
        node = trace.nodes[i]
        if is_backward(node) or (of := letters_at(trace, i)) is None:
            continue
        inputs = node.all_input_nodes
        into = {block[other] for other in inputs if other in block}
        if node.target is operator.getitem and len(of) == len(_sizes(inputs[0])):
            block[node] = node.args[1]
            said[i] = _from_linear(trace, inputs[0].args[0], of[block[node]])
        elif node.target in MOVED and inputs[0] in block:
            block[node], said[i] = block[inputs[0]], said[trace.position[inputs[0]]]
        elif node.target in SQUASHED:
            said[i] = f"`{of[into.pop()]}`" if into else "tanh(`c_t`)" if of == "ifgo" else "`h_t`"
        elif node.target in SUMS and len(into) == 1 and len(inputs) == 2:
            block[node] = into.pop()
            said[i] = f"what goes into `{of[block[node]]}`"
        elif of and node.target in PRODUCTS and len(inputs) == 2 and any(trace.position[a] in said for a in inputs):
            if into:
                block[node] = into.pop()
            said[i] = _joined(" · " if node.target is aten.mul.Tensor else " - ", _operands(trace, said, node, of))
        elif of and node.target in SUMS and all(trace.position[a] in said for a in inputs):
            said[i] = "`c_t`" if of == "ifgo" else "`h_t`"
    return said


def gate_of(trace: Trace, i: int) -> str:
    """What the operator gives that a node of either pass is of; nothing outside of such modules."""
    there = [j for j in trace.blocks.get(trace.number(i), ()) if not is_backward(trace.nodes[j])]
    return gates(trace).get(there[-1], "") if there else ""


def _sizes(node: Node) -> Any:
    return node.args[1] if node.target is aten.split_with_sizes.default else ()


def _from_linear(trace: Trace, node: Any, letter: str) -> str:
    """What goes into a gate: from one linear layer, if the split is of what that alone gives."""
    while isinstance(node, Node) and node.op == "call_function" and node.target is not aten.mm.default:
        second = node.args[1] if node.target in SUMS else None
        if isinstance(second, Node) and second.op == "call_function" and second.target is not aten.mul.Tensor:
            return f"what goes into `{letter}`"  # from two; a bias is no value that is computed, or is taken times 1
        node = node.args[0]
    transposed: Any = node.args[1] if isinstance(node, Node) and len(node.args) > 1 else None
    weight = transposed.args[0] if isinstance(transposed, Node) and transposed.args else None
    name = next((name for name, given in zip(trace.names, trace.nodes, strict=False) if given is weight), "")
    if "weight_hh" in name:
        return f"`W_h{letter} h + b_h{letter}`"
    return f"`W_i{letter} x + b_i{letter}`" if "weight_ih" in name else f"what goes into `{letter}`"


def _operands(trace: Trace, said: dict[int, str], node: Node, of: str) -> list[str]:
    state = "`c_(t-1)`" if of == "ifgo" else "`h_(t-1)`"
    names = [said.get(trace.position[a], state) for a in node.all_input_nodes]
    return [of_step_before(name) if name.endswith("_t`") else name for name in names]


def _joined(sign: str, names: list[str]) -> str:
    if set(names) == {"`o`", "tanh(`c_t`)"}:
        return "`h_t`"
    return sign.join(f"({name})" if " - " in name or " · " in name else name for name in names)


def of_step_before(name: str) -> str:
    """The name of a state that was computed in the step before."""
    return name.replace("_t`", "_(t-1)`") if name.endswith("_t`") else f"{name}{BEFORE}"


def takes_state(node: Node) -> bool:
    """Whether an operator of a cell, if it takes a state, takes that of the step before."""
    return node.target in PRODUCTS


def legend(trace: Trace, i: int, text: str) -> str:
    """What the letters in a text mean, as a sentence; nothing outside of torch's recurrent modules."""
    if (of := letters_at(trace, i)) is None:
        return ""
    found = dict.fromkeys(re.findall(r"`(?:[Wb]_[ih])?([a-z])(?:_t|_\(t-1\)|)[ `]", text))
    meant = [f"{letter}: {MEANT[of][letter]}" for letter in found if letter in MEANT[of]]
    return f" (In the names of PyTorch's documentation: {'; '.join(meant)}.)" if meant else ""
