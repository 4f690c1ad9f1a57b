"""`python -m torch_ref` is `gradgate`."""

import sys


def main() -> int:
    """Run the command. Returns its exit status; 2 for Ctrl-C before it has begun."""
    try:
        from torch_ref.command.main import main as command  # noqa: PLC0415  # Ctrl-C may come during this import

        return command()
    except KeyboardInterrupt:
        sys.stderr.write("gradgate: interrupted before the first case\n")
        return 2


if __name__ == "__main__":
    status = main()
    # `python -m` ends by the signal if Ctrl-C came within an exec, such as a dataclass's, though it was caught: until
    # the next exec.
    exec("")  # noqa: S102  # nothing
    sys.exit(status)
