"""Ctrl-C for the whole command: the first is not lost, wherever it comes, and a second one is obeyed at once."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

AT_ONCE = 1.0  # seconds: who starts us may pass on a Ctrl-C that has come here too


def remember_interrupts() -> Callable[[], None]:
    """From now on Ctrl-C raises KeyboardInterrupt, and the function returned does so again if that was swallowed.

    Python swallows what is raised in a callback of its garbage collector or in a __del__, and says so on standard
    error; now it does not. Another Ctrl-C, not at once, ends the process with exit status 2, and children with it.
    """
    first = 0.0

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        nonlocal first
        now = time.monotonic()
        if not first:
            first = now
            raise KeyboardInterrupt
        if now > first + AT_ONCE:
            os.write(2, b"gradgate: interrupted again, ended without a report\n")
            os._exit(2)

    def demand() -> None:
        if first:
            raise KeyboardInterrupt

    def unraisable(what: "sys.UnraisableHookArgs") -> None:
        if not isinstance(what.exc_value, KeyboardInterrupt):
            before(what)

    ours = threading.current_thread() is threading.main_thread()
    if ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not ignored, as by nohup
        before, sys.unraisablehook = sys.unraisablehook, unraisable
        signal.signal(signal.SIGINT, interrupt)
    return demand
