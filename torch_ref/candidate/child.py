"""The process that a candidate runs in, from the parent's side: started, waited for, ended. Imports no NumPy.

It needs Linux or macOS. A candidate can end itself, hang, write to standard output or use up memory there, and the
check goes on. It is no prison: who means to do harm still can, as any program of the same user.
"""

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from torch_ref.candidate.loading import parsed

WORKER = Path(__file__).with_name("worker.py")
DISTURBED = 111  # the worker's exit status when it can't use its own file descriptors any more
MEDDLED = "closed or wrote to a file descriptor of gradgate's, expected it to use its own"
PATIENCE = 2.0  # seconds for a process that has closed the connection to end


class Child:
    """A process that loads the candidate of this name, and then answers on `connection`.

    Arrays go through a file without a name, `memory`, that both have open. The child's standard input is empty, what it
    writes to standard output is noted and thrown away, its standard error is thrown away. It dies with this process.

    Raises UnusableError for a file that is not there, and OSError where no process can be started.
    """

    def __init__(self, name: str, timeout: float) -> None:
        self.name, self.timeout = name, timeout
        self.source = parsed(name).source
        self.started = time.monotonic()
        self.connection, theirs = socket.socketpair()
        self.connection.settimeout(timeout)  # for the rest of a message whose beginning has come
        self.memory = _unnamed_file()
        self.printed, printing = os.pipe()
        life, self.life = os.pipe()  # is at its end when this process is
        setup = {
            "name": name,
            "path": sys.path,
            "connection": theirs.fileno(),
            "memory": self.memory,
            "life": life,
            "parent": os.getpid(),
            "limit": machine_memory(),
        }
        self.process = subprocess.Popen(  # noqa: S603  # our own file
            [sys.executable, "-P", str(WORKER), json.dumps(setup)],
            stdin=subprocess.DEVNULL,
            stdout=printing,
            stderr=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(), self.memory, life),
            start_new_session=True,  # Ctrl-C is the parent's, and what the candidate starts ends with it
        )
        theirs.close()
        os.close(printing)
        os.close(life)
        self.has_printed = False  # since the last `wait`
        self.waiting = selectors.DefaultSelector()
        self.waiting.register(self.connection, selectors.EVENT_READ)
        self.waiting.register(self.printed, selectors.EVENT_READ)

    def wait(self, until: float) -> bool:
        """Whether there is something to read on the connection by that time, of time.monotonic()."""
        self.has_printed = False
        while ready := self.waiting.select(max(0.0, until - time.monotonic())):
            readable = {key.fileobj for key, _ in ready}
            if self.printed in readable:
                if os.read(self.printed, 1 << 16):
                    self.has_printed = True
                else:  # it has closed it
                    self.waiting.unregister(self.printed)
            if self.connection in readable:
                return True
        return False

    def how_it_ended(self) -> str:
        """Why it can be asked nothing more, once the connection is at its end."""
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            status = DISTURBED
        if status == DISTURBED:
            return MEDDLED
        if status >= 0:
            return f"ended its process with status {status}, expected it to return"
        why = "; out of memory?" if status == -signal.SIGKILL else ""
        return f"ended by {signal.Signals(-status).name} ({signal.strsignal(-status)}{why}), expected it to return"

    def end(self) -> None:
        """Kill it, and the processes it has started."""
        with suppress(ProcessLookupError, PermissionError):  # macOS says so of one that is dead
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.end()
        self.waiting.close()
        self.connection.close()
        for descriptor in self.memory, self.printed, self.life:
            os.close(descriptor)


def machine_memory() -> int:
    """Its size in bytes; as much as can be where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return sys.maxsize


def _unnamed_file() -> int:
    """A file descriptor, of memory where the system has such files."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("gradgate")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
