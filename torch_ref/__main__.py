"""`python -m torch_ref` is `gradgate`."""

import sys

from torch_ref.command.main import main

if __name__ == "__main__":
    sys.exit(main())
