"""What a check is asked for, whatever the reference."""

from dataclasses import dataclass
from typing import Any

from torch_ref.cases.case import Case
from torch_ref.precision import FLOAT64, Precision
from torch_ref.reference.base import BaseReference


@dataclass(frozen=True)
class Settings:
    """How many ordinary cases decide, from which seed, in which precision; whether saturated ones do too; and so on.

    time and accuracy ask for what else is measured. only are the names that are judged; none means all. saved is the
    one case to judge instead of any other. With own_format, what is right in a coarse format is what autograd gives in
    that, not in float64.
    """

    cases: int = 100
    seed: int = 0
    precision: Precision = FLOAT64
    strict: bool = False
    time: bool = False
    only: tuple[str, ...] = ()
    saved: Case | None = None
    accuracy: bool = False
    own_format: bool = False

    def shown(self, reference: BaseReference) -> dict[str, Any]:
        """What a report says of them, with the reference's own."""
        own = {"cases": self.cases, "seed": self.seed, "dtype": self.precision.name}
        only = {"only": list(self.only)} if self.only else {}
        return {**own, **reference.settings, "strict": self.strict, **only}

    def demand_names(self, reference: BaseReference) -> None:
        """Raise ValueError for a name in `only` that is no result and no gradient."""
        case = reference.cases.draw(*reference.cases.explicit()[0].sizes, seed=0, precision=self.precision)
        known = *reference.results, *case.differentiated
        for name in self.only:
            if name not in known:
                raise ValueError(f"only: {name!r}, expected one of {', '.join(known)}")

    def total(self, reference: BaseReference) -> int:
        """The number of cases: with a quarter as many saturated ones, if the reference has those."""
        if self.saved:
            return 1
        return self.cases + (self.saturated if reference.cases.saturates else 0)

    @property
    def saturated(self) -> int:
        """The number of saturated cases."""
        return max(1, self.cases // 4)
