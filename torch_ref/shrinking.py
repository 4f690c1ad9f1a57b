"""The smallest case that fails, found by Hypothesis."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from random import Random

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity
from hypothesis.configuration import set_hypothesis_home_dir, storage_directory
from hypothesis.errors import Flaky, NoSuchExample
from hypothesis.strategies import SearchStrategy

from torch_ref.cases.case import Case

# With any profile, and inside a test that Hypothesis runs: the same cases for the same seed.
QUIET = hypothesis.settings(
    max_examples=100,
    database=None,
    deadline=None,
    derandomize=False,
    print_blob=False,
    verbosity=Verbosity.quiet,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


def smallest_of(strategy: SearchStrategy[Case], fails: Callable[[Case], bool], seed: int) -> Case | None:
    """The smallest of the cases of this strategy that fails; None if none is found, or if it does not always fail."""
    with _files_elsewhere(), suppress(NoSuchExample, Flaky):
        random = Random(seed)  # noqa: S311  # nothing secret about it
        return hypothesis.find(strategy, fails, settings=QUIET, random=random)
    return None


@contextmanager
def _files_elsewhere() -> Iterator[None]:
    """While entered, Hypothesis leaves no .hypothesis in the user's folder."""
    before = storage_directory(intent_to_write=False).home_directory
    with tempfile.TemporaryDirectory() as folder:
        set_hypothesis_home_dir(folder)
        try:
            yield
        finally:
            set_hypothesis_home_dir(before)
