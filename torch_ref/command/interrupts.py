"""Ctrl-C that is not lost, wherever it comes."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn


@contextmanager
def remembered() -> Iterator[Callable[[], None]]:
    """While entered, Ctrl-C raises KeyboardInterrupt, and the function given does so again if that was swallowed.

    Python swallows what is raised in a callback of its garbage collector or in a __del__, and says so on standard
    error; here it does not.
    """
    come = False

    def interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
        nonlocal come
        come = True
        raise KeyboardInterrupt

    def demand() -> None:
        if come:
            raise KeyboardInterrupt

    def unraisable(what: "sys.UnraisableHookArgs") -> None:
        if not isinstance(what.exc_value, KeyboardInterrupt):
            before(what)

    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:  # ignored, perhaps, by nohup
        yield demand
        return
    before, sys.unraisablehook = sys.unraisablehook, unraisable
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield demand
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.unraisablehook = before
