"""An explanation in the field's words: where, what, and how to mend it."""

from typing import NamedTuple

from torch_ref.diagnosis.graph.origin import origin_of
from torch_ref.diagnosis.graph.search import Explanation
from torch_ref.diagnosis.graph.trace import Trace


class Words(NamedTuple):
    """name: in short."""

    name: str
    text: str


def sentence(trace: Trace, explanation: Explanation) -> Words:
    """The explanation, said."""
    node = trace.nodes[explanation.group[0]]
    origin = origin_of(trace, explanation.group[0])
    text = f"{explanation.way} {explanation.group} {node.format_node()} {origin} {explanation.change.kind} {explanation.change.detail}"
    return Words(f"{origin.operator}: {explanation.change.kind}", text)
