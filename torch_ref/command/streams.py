"""Standard output and standard error, whatever has become of them: closed, full, or nobody reads them."""

import os
import sys
from contextlib import suppress
from pathlib import Path


def ready_streams() -> None:
    """Make sure that what is opened next is not taken for a standard stream, and that any character can be printed."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # for as long as there is one
    for stream in sys.stdout, sys.stderr:
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="replace")


def say(text: str) -> None:
    """A line on standard error, if it can be."""
    with suppress(OSError, ValueError):
        print(f"gradgate: {text}", file=sys.stderr, flush=True)


def show(text: str) -> None:
    """The text on standard output; where that can't be, a line on standard error says so."""
    try:
        if sys.stdout is None:
            raise OSError("closed")  # noqa: TRY301  # told like any other
        print(text, flush=True)
    except (OSError, ValueError) as error:  # a closed file is a ValueError
        say(f"standard output: {getattr(error, 'strerror', None) or error}; nothing else is shown")
        give_up_output()


def flush() -> None:
    """Write what is still to be written to standard output, if it can be."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        give_up_output()


def give_up_output() -> None:
    """Let what is still to be written to standard output go nowhere: at exit, Python would complain."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
