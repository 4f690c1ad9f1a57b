"""What every reference is: it draws cases, and autograd tells what is right for each of them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from torch import Tensor, nn

from torch_ref.cases.case import Case, Numbers
from torch_ref.cases.drawing import Cases
from torch_ref.errors import UnusableError
from torch_ref.precision import Precision
from torch_ref.results import Description, Finding

if TYPE_CHECKING:  # the diagnosis is about references; at run time a reference brings its detectors
    from torch_ref.diagnosis.evidence import Evidence

Evaluate: TypeAlias = Callable[[Case], Numbers]
Detector: TypeAlias = Callable[["Evidence", list[str]], Iterable[Finding]]  # (evidence, names still unexplained)
TOGETHER, SMALL = 8, 10_000  # cases of so few elements, at most


class BaseReference(ABC):
    """What a hand-written backward pass is checked against. A new kind of reference is a subclass of this.

    name: the word of the command line that gave it, if one did. options: the words that a candidate with parameters
    of these names is given. detectors: the explanations of a mismatch that are tried, in this order; empty for the
    general ones.
    """

    name: str
    options: Mapping[str, str] = {}
    detectors: tuple[Detector, ...] = ()

    @property
    @abstractmethod
    def results(self) -> tuple[str, ...]:
        """The names of what a candidate returns besides the gradients."""

    @property
    @abstractmethod
    def cases(self) -> Cases:
        """What draws its cases."""

    @property
    def module(self) -> nn.Module | None:
        """The module that is run, if there is one."""
        return None

    @property
    @abstractmethod
    def description(self) -> Description:
        """What a report says of it."""

    @property
    def settings(self) -> dict[str, Any]:
        """What a check runs with: its options, and the ranges of what is drawn."""
        return {**self.options, **self.cases.settings}

    @property
    def notes(self) -> tuple[str, ...]:
        """What a report says besides, of each candidate."""
        return ()

    @abstractmethod
    def with_largest_batch(self, largest: int) -> Self:
        """The same reference with batches up to this."""

    @abstractmethod
    def named(self, name: str) -> Self:
        """The same reference under this name."""

    @abstractmethod
    @contextmanager
    def lent(self) -> Iterator[Evaluate]:
        """While entered, the function given evaluates a case; afterwards all that the user owns is as before.

        It runs forward and backward once: the results by name, then the gradient of each differentiated argument, in
        its shape. It raises UnusableError where the reference raises, or gives no gradient.
        """

    @abstractmethod
    def results_of(self, case: Case, tensors: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """The results, differentiable, with these tensors in place of the case's arguments. To be called while lent."""

    def evaluate(self, case: Case) -> Numbers:
        """The results and gradients of one case."""
        with self.lent() as evaluate:
            return evaluate(case)

    def demand_usable(self, precision: Precision) -> None:
        """Raise UnusableError for a reference that can't serve, with what is wrong and what would be right."""
        case, again = (self.cases.draw(*self.cases.explicit()[0].sizes, seed=0, precision=precision) for _ in range(2))
        if any(case.arguments[name].tobytes() != again.arguments[name].tobytes() for name in case.given):
            raise UnusableError("reference: draw gives another batch each time, expected one from the rng it is given")
        del again  # as large as the case
        self._demand_repeatable(case)

    def _demand_repeatable(self, case: Case) -> None:
        with self.lent() as evaluate:
            first, second = evaluate(case.judged), evaluate(case.judged)
        for name, array in first.items():
            if array.tobytes() != second[name].tobytes():
                why = "is dropout active? call model.eval()"
                raise UnusableError(f"reference: {case.label(name)} is another one each time: {why}")

    def __str__(self) -> str:
        return self.name or self.description.title


def evaluated(cases: Iterator[Case], evaluate: Evaluate) -> Iterator[tuple[Case, Numbers | None]]:
    """Each case with the results and gradients, or with None where `evaluate` raises UnusableError.

    Small cases are drawn and evaluated several at a time: it takes less time when the same is done again and again.
    """
    count = 1
    while some := list(islice(cases, count)):
        yield from [(case, _result(case, evaluate)) for case in some]
        count = TOGETHER if some[-1].size <= SMALL else 1


def _result(case: Case, evaluate: Evaluate) -> Numbers | None:
    with suppress(UnusableError):
        return evaluate(case.judged)
    return None
