"""A candidate called on copies of a case, and what it returns, checked against the contract.

The contract: f(*arguments) -> (results, gradients), where the results are the loss (or a sequence, if there are
several; or None) and the gradients one for each differentiated argument, in a sequence or by name, each in the shape
and dtype of its argument.
"""

import sys
import timeit
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Protocol

import numpy as np

from torch_ref.candidate.forms import (
    advice,
    advice_on_class,
    called,
    can_be_asked,
    demand_arguments,
    is_in_torch,
    place_of,
)
from torch_ref.candidate.kinds import form_of_operators, parameters_of
from torch_ref.candidate.naming import named, unused
from torch_ref.candidate.printing import kept_out
from torch_ref.candidate.tensors import array_of
from torch_ref.cases.case import Array, Case, Numbers
from torch_ref.errors import ContractError, plain, summary
from torch_ref.precision import Precision
from torch_ref.results import Place

# As they are now: a candidate may put others in their place.
_copy, _as_array, _errstate = np.array, np.asarray, np.errstate


@dataclass(frozen=True)
class Answer:
    """What a candidate returned for a case, by name: arrays of any shape, or why there is none.

    A result that it leaves out is in neither. printed says whether it wrote to standard output, unused
    which keys it returned that stand for nothing. formats are the dtypes
    of what code in torch returned, where it was given tensors in a format that NumPy has not.
    """

    arrays: Numbers = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    printed: bool = False
    unused: list[str] = field(default_factory=list)
    formats: dict[str, str] = field(default_factory=dict)


class Candidate(Protocol):
    """The code under test, wherever it runs. form says what it is, if only an operator's candidate can be that."""

    form: str

    @property
    def place(self) -> Place | None:
        """Where it is written."""

    def __call__(self, case: Case) -> Answer:
        """Its answer for a case, empty if it can't be asked that (`Case.alone`).

        Raises ContractError, or EndedError where it can't be called again.
        """

    def time(self, case: Case, number: int) -> float:
        """The seconds that so many calls take. Raises what a call raises."""


class InProcess:
    """A function of the caller's own process, or another form of a candidate that `called` knows.

    results are the names of what it returns in addition to the gradients. It is given those of the options that it has
    parameters for.
    """

    def __init__(self, code: Any, results: tuple[str, ...], options: Mapping[str, str]) -> None:
        self.code, self.results, self.form = code, results, form_of_operators(code)
        self.options = {name: value for name, value in options.items() if name in parameters_of(code)}

    @cached_property
    def place(self) -> Place | None:
        """See Candidate."""
        return place_of(self.code)

    def __call__(self, case: Case) -> Answer:
        """Its answer for a copy of the case. What it prints never reaches standard output.

        Raises ContractError when it raises, exits, writes to its arguments or returns anything but a pair of the
        results and one gradient per differentiated argument.
        """
        if not can_be_asked(self.code, case):
            return Answer()
        copies = case.copies()
        with kept_out() as printed:
            returned = self._returned(case, partial(called, self.code, case, copies, self.results, self.options))
        for name in case.given if case.step else case.arguments:
            array = case.arguments[name]
            # A NaN differs from itself, but no case has one.
            if copies[name].shape != array.shape or np.count_nonzero(copies[name] != array):
                raise ContractError(f"wrote to its argument {name}, expected its arguments unchanged")
        del copies, array  # their memory will do for the answer's
        try:
            values = named(returned, self.results, case)
        except ContractError as error:
            raise ContractError(f"{error}{advice(self.code, case)}") from None
        answer = _answer(values, case.precision, printed=printed.anything)
        answer.unused.extend(map(plain, unused(returned, self.results, case)))
        if case.precision.array != case.precision.name and is_in_torch(self.code, case):
            answer.formats.update({n: str(values[n].dtype).removeprefix("torch.") for n in answer.arrays})
        return answer

    def time(self, case: Case, number: int) -> float:
        """The seconds that so many calls take. Raises ContractError when one raises or exits."""
        call = partial(called, self.code, case, case.arguments, self.results, self.options)
        with kept_out():
            seconds: float = self._returned(case, partial(timeit.timeit, call, number=number))
        return seconds

    def _returned(self, case: Case, call: Callable[[], Any]) -> Any:
        try:
            with _errstate(all="ignore"):  # exp(-G1) may overflow; what follows from that is seen later
                return call()
        except ContractError:
            raise
        except SystemExit as error:
            code = error.code if isinstance(error.code, int | str | None) else "..."
            raise ContractError(f"called sys.exit({code!r}), expected it to return") from None
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever they raise, it is theirs
            demand_arguments(self.code, case, self.results)
            raised = summary(error, self.place.file if self.place else "")
            raise ContractError(f"raised {raised}{advice_on_class(self.code)}") from error


def _answer(values: dict[str, Any], precision: Precision, *, printed: bool) -> Answer:
    """The values as arrays of their own: a buffer that the candidate writes to again is copied at once.

    An array of anything but numbers, text or times has no bytes to send between processes: its dtype is the problem.
    """
    answer = Answer(printed=printed)
    for name, value in values.items():
        try:
            array = _copy(as_array(value, precision))
        except Exception as error:  # noqa: BLE001  # an object of theirs may raise anything
            answer.problems[name] = plain(f"not an array: {error}")
            continue
        if array.dtype.kind in "OV":
            answer.problems[name] = plain(f"dtype {array.dtype}, expected {precision}")
        else:
            answer.arrays[name] = array
    return answer


def as_array(value: Any, precision: Precision) -> Array:
    """What np.asarray makes of the value. Lists and Python floats carry no dtype of their own and take `precision`.

    Raises TypeError, ValueError or RuntimeError for what is no array.
    """
    if value is None:
        raise TypeError("None")
    # Only who has imported torch can return its tensors; a torch.py of their own has none.
    tensors: Any = getattr(sys.modules.get("torch"), "Tensor", ())
    if isinstance(value, tensors):
        return array_of(value, precision)
    array = _as_array(value)
    bare = isinstance(value, float | list | tuple) and array.dtype == np.float64
    return array.astype(precision.array) if bare else array


def differing(first: Numbers, again: Numbers) -> list[str]:
    """The names of what came both times, as floating-point numbers, and is not the same."""
    both = {name: (first[name], array) for name, array in again.items() if name in first and array.dtype.kind == "f"}
    return [name for name, (once, twice) in both.items() if not np.array_equal(once, twice, equal_nan=True)]
