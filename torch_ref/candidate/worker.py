"""The file that a candidate's own process runs: bounds for it, a way to find what it needs, then `serving`.

Neither torch nor hypothesis nor numpy_impl is imported, and torch_ref is out of sight again before the candidate is
loaded: if files of these names lie beside the candidate, they are what it imports.
"""

import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

DISTURBED = 111  # the exit status when its own file descriptors are of no use any more; child.py has it too
SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG, of <sys/prctl.h>


def main(setup: Mapping[str, Any]) -> None:
    """Load the candidate and answer until the parent is gone. `setup` is what child.py says."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from torch_ref.candidate.channel import Channel  # noqa: PLC0415  # found only now
    from torch_ref.candidate.serving import serve  # noqa: PLC0415

    end_with_parent(setup["parent"], setup["life"])
    bound_memory(setup["limit"])
    sys.path[:] = setup["path"]
    sys.argv[:] = [setup["name"].rpartition(":")[0]]
    for name in [name for name in sys.modules if name.partition(".")[0] == "torch_ref"]:
        del sys.modules[name]
    try:
        serve(Channel(socket.socket(fileno=setup["connection"]), setup["memory"]), setup["name"])
    except EOFError:  # the parent is gone
        pass
    except (OSError, ValueError):
        os._exit(DISTURBED)
    os._exit(0)  # whatever threads the candidate has started


def end_with_parent(parent: int, life: int) -> None:
    """See to it that this process ends when its parent does, however that ends; life can be read to its end then."""
    try:
        from ctypes import CDLL  # noqa: PLC0415  # NumPy has imported it already, and nothing else needs it

        CDLL(None).prctl(SET_DEATH_SIGNAL, signal.SIGKILL)  # Linux only
    except (OSError, AttributeError):
        # Not where it isn't needed: it can't run while C code holds the interpreter, and forks warn of threads.
        Thread(target=lambda: os.read(life, 1) or os._exit(0), daemon=True).start()
    if os.getppid() != parent:
        os._exit(0)


def bound_memory(limit: int) -> None:
    """Let no more than this be allocated, in bytes, where the system can; and be the one that a full machine ends."""
    with suppress(ImportError, ValueError, OSError):
        import resource  # noqa: PLC0415  # not everywhere

        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        own = [limit, *(bound for bound in (soft, hard) if bound != resource.RLIM_INFINITY)]
        resource.setrlimit(resource.RLIMIT_AS, (min(own), hard))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
