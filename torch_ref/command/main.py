"""From a command line to an exit status. What can be refused without torch is refused before it is imported."""

import sys

from torch_ref.candidate.loading import load
from torch_ref.command.options import BUILT_IN, demand_sense, parser


def main(arguments: list[str] | None = None) -> int:
    """Check the candidates. Returns the exit status: 0 all agree, 1 one does not, 2 the command line can't be used."""
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # a TextIOWrapper; ∂ on a console without it
    options = parser().parse_args(arguments)
    try:
        demand_sense(options)
        functions = {name: load(name) for name in options.candidates or [BUILT_IN]}
        make_reference = load(options.reference) if options.reference is not None else None
        from torch_ref.command.run import run  # noqa: PLC0415  # imports torch, which takes seconds

        return run(options, functions, make_reference)
    except ValueError as error:
        return _unusable(str(error))
    except KeyboardInterrupt:  # before the first case
        return _unusable("interrupted")
    except MemoryError:
        return _unusable("not enough memory for batches and widths this large")


def _unusable(why: str) -> int:
    print(f"gradgate: {why}", file=sys.stderr)
    return 2
