"""The document that every renderer gets: what was found of all candidates, and the verdict on the whole."""

import platform
import shlex
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any

from torch_ref.outcome import Outcome
from torch_ref.results import Description, Lockstep

# The options of the command that belong to no reference, and what they are if nothing is said.
DEFAULTS = {"cases": 100, "seed": 0, "dtype": "float64"}


@dataclass(frozen=True)
class Document:
    """Outcomes of one run, one for each candidate and dtype, against one reference.

    lockstep is the training run of the built-in candidate, and lockstep_title what it trains, where there is one.
    command is the one that was run, if it was one.
    """

    outcomes: list[Outcome]
    lockstep: Lockstep | None = None
    lockstep_title: str = ""
    command: str = ""

    @property
    def reference(self) -> Description:
        """What all were checked against."""
        return self.outcomes[0].reference

    @property
    def names(self) -> list[str]:
        """The candidates, each once."""
        return list(dict.fromkeys(outcome.name for outcome in self.outcomes))

    @property
    def dtypes(self) -> list[str]:
        """In which they were checked, each once."""
        return list(dict.fromkeys(outcome.settings["dtype"] for outcome in self.outcomes))

    @property
    def title(self) -> str:
        """What was checked against what."""
        of = self.names[0] if len(self.names) == 1 else f"{len(self.names)} candidates"
        return f"{of} against autograd of {self.reference.title}"

    @property
    def settings(self) -> dict[str, Any]:
        """What all were checked with; of the dtypes a list."""
        return {**self.outcomes[0].settings, "dtype": sorted(self.dtypes)}

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended it."""
        return any(outcome.interrupted for outcome in self.outcomes)

    @property
    def passed(self) -> bool:
        """Whether every candidate passed, and the training run did."""
        return all(outcome.passed for outcome in self.outcomes) and (self.lockstep is None or self.lockstep.passed)

    @cached_property
    def versions(self) -> dict[str, str]:
        """Of everything that a result depends on."""
        return {
            "gradgate": version("gradgate"),
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "torch", "hypothesis")},
        }


def diagnosed_in(outcome: Outcome) -> str | None:
    """The dtype in which the mistake was looked for, if it is another than that of the check."""
    dtypes = {comparison.case.precision.name for comparison in outcome.evidence if outcome.findings}
    return next(iter(dtypes - {outcome.settings["dtype"]}), None)


def command_of(outcome: Outcome, case: str = "") -> str:
    """The command that gives this outcome again; or that runs the case in this file."""
    words = ["gradgate", outcome.name, *outcome.reference.words]
    case = case or outcome.settings.get("case", "")
    for option, default in {}.items() if case else DEFAULTS.items():
        if (value := outcome.settings[option]) != default:
            words += [f"--{option}", str(value)]
    if timeout := outcome.settings.get("timeout"):
        words += ["--timeout", f"{timeout:g}"]
    if only := outcome.settings.get("only"):
        words += ["--only", ",".join(only)]
    if case:
        words += ["--case", case]
    return shlex.join(words + ["--strict"] * outcome.settings["strict"])
