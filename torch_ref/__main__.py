"""`python -m torch_ref` is `gradgate`."""

import signal
import sys


def main() -> int:
    """Run the command. Returns its exit status; 2 for Ctrl-C before it has begun."""
    try:
        from torch_ref.command.interrupts import remember_interrupts  # noqa: PLC0415  # Ctrl-C may come meanwhile
        from torch_ref.command.main import main as command  # noqa: PLC0415  # the same

        return command(raise_again=remember_interrupts())
    except KeyboardInterrupt:
        sys.stderr.write("gradgate: interrupted before the first case\n")
        return 2
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # what is left is Python's own end: the verdict stands


if __name__ == "__main__":
    status = main()
    # `python -m` ends by the signal if Ctrl-C came within an exec, such as a dataclass's, though it was caught: until
    # the next exec.
    exec("")  # noqa: S102  # nothing
    sys.exit(status)
