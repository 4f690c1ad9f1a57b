"""What an edit of a node is: how simple it is, what it is called, and the value it gives."""

from typing import Any, NamedTuple

from torch_ref.diagnosis.graph.trace import Edit


class Change(NamedTuple):
    """kind and detail are what words are made from; the simpler a change, the lower its rank."""

    rank: int
    kind: str
    detail: tuple[Any, ...]
    value: Edit


SIMPLE, SUMS, CONSTANTS, PLACES, EDGES, STEPS, OTHERS, SCALED = range(8)  # ranks
