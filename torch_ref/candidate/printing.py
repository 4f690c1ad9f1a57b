"""What a candidate prints: noted, and kept out of gradgate's own output."""

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Noted(io.BytesIO):
    """A stream that keeps nothing of what is written to it, but that something was."""

    def __init__(self) -> None:
        super().__init__()
        self.anything = False

    def write(self, data: "ReadableBuffer") -> int:
        """Note them, all of them."""
        self.anything = True
        return memoryview(data).nbytes


@contextmanager
def kept_out() -> Iterator[Noted]:
    """While entered, sys.stdout is a stream that keeps nothing, however much is printed."""
    noted = Noted()
    with redirect_stdout(io.TextIOWrapper(noted, encoding="utf-8", errors="replace", write_through=True)):
        yield noted
