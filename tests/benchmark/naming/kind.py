"""A kind of layer with its mistakes."""

from collections.abc import Callable
from typing import NamedTuple

from torch_ref.reference.base import BaseReference


class Kind(NamedTuple):
    """A layer: its reference, its backward pass by hand with a last argument that says what is wrong, and the mistakes.

    Of each mistake, what a finding must say to be right. Someone read what was said and judged it so; where nothing is
    given, nothing that was said yet is right.
    """

    name: str
    reference: BaseReference
    by_hand: Callable[..., object]
    mistakes: dict[str, str]

    def planted(self, mistake: str) -> Callable[..., object]:
        """The backward pass with this mistake; with none, the right one."""
        return lambda *arguments: self.by_hand(*arguments, mistake)
