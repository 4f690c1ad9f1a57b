"""From a command line to an exit status. What can be refused without torch is refused before it is imported."""

import argparse
import gc
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from torch_ref.candidate.child import Child
from torch_ref.candidate.loading import import_own_network, parsed
from torch_ref.command.options import demand_sense, parser
from torch_ref.command.streams import flush, ready_streams, say, show


def main(arguments: list[str] | None = None, raise_again: Callable[[], None] = lambda: None) -> int:
    """Check the candidates. Returns the exit status: 0 all agree, 1 one does not, 2 the command line can't be used.

    raise_again is that of `remember_interrupts`.
    """
    ready_streams()
    try:
        options = parser().parse_args(arguments)
        options.command = shlex.join(["gradgate", *(sys.argv[1:] if arguments is None else arguments)])
    finally:
        flush()  # of --help
    if options.version:
        from importlib.metadata import version  # noqa: PLC0415  # takes as long as all else here

        show(f"gradgate {version('gradgate')}")
        return 0
    try:
        demand_sense(options)
        if options.reference is not None:
            parsed(options.reference)
        return _run(options, raise_again)
    except ValueError as error:
        return _unusable(str(error))
    except KeyboardInterrupt:
        return _unusable(f"interrupted before the first case of {', '.join(options.candidates) or 'numpy_impl'}")
    except MemoryError:
        return _unusable("not enough memory for batches and widths this large")


def _run(options: argparse.Namespace, raise_again: Callable[[], None]) -> int:
    """Run the check, with a child for each candidate that loads it while this process imports what it needs itself.

    Where there are no such children, as on Windows, candidates run in this process.
    """
    with ExitStack() as stack:
        children = {}
        if os.name == "posix":
            for name in dict.fromkeys(options.candidates):
                children[name] = stack.enter_context(Child(name, options.timeout))
        with _no_search_for_garbage():
            import_own_network()
            from torch_ref.candidate.process import Process  # noqa: PLC0415  # imports NumPy: not before the children start

            processes = {name: Process(child) for name, child in children.items()}
            import hypothesis  # noqa: F401, PLC0415  # needed soon, and meanwhile the children find what is not there

            for process in processes.values():
                process.demand_loaded(wait=False)
            from torch_ref.command.run import run  # noqa: PLC0415  # imports torch, which takes seconds

        raise_again()
        return run(options, processes, raise_again)


@contextmanager
def _no_search_for_garbage() -> Iterator[None]:
    """While torch is imported, and at exit, Python looks for no garbage in it: that is a fourth of what it takes."""
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _unusable(why: str) -> int:
    say(why)
    return 2
