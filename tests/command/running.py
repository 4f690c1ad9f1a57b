"""The command as a process of its own."""

import subprocess
import sys

GRADGATE = [sys.executable, "-m", "torch_ref"]


def run(*arguments, **options):
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "timeout": 120, **options}
    return subprocess.run([*GRADGATE, *arguments], check=False, **options)  # noqa: S603  # our own
