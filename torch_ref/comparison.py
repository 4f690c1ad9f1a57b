"""One candidate on one case: its loss and each gradient against the reference. Measured first, judged second."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import torch

from torch_ref.cases import Array, Case
from torch_ref.reference import Reference
from torch_ref.rounding import allowed, noise, unit_roundoff

Candidate: TypeAlias = Callable[..., Any]  # (inputs, targets, *parameters) -> (loss, gradients in that order)


class ContractError(Exception):
    """The candidate did not return (loss, gradients), or wrote to its arguments: there is nothing to compare."""


@dataclass(frozen=True)
class Tensor:
    """The loss or one gradient of the candidate, held against the reference at the element where it is furthest off.

    problem says why there are no values to compare (shape, dtype, NaN); the numbers are then NaN, None or as below.
    """

    name: str
    dtype: np.dtype[Any]
    largest: float  # max|g| of the reference
    error: float = np.nan  # the largest |candidate - reference| of any element
    allowed: float = 0.0
    index: tuple[int, ...] = ()  # of that element
    yours: float = np.nan  # there
    autograd: float = np.nan  # there
    problem: str | None = None

    @property
    def passed(self) -> bool:
        """Whether there is a value and it is within what is allowed."""
        return self.problem is None and self.error <= self.allowed

    @property
    def vacuous(self) -> bool:
        """Whether a gradient of zeros would have passed too, so that passing proves nothing."""
        return self.allowed >= self.largest

    @property
    def severity(self) -> float:
        """The error as a multiple of what is allowed: over 1 fails. Infinite where there is no value to compare."""
        return np.inf if self.problem else self.error / self.allowed

    @property
    def units(self) -> float:
        """The error in units of u × max|g|, the size of one rounding. Infinite where there is no value to compare."""
        if self.problem:
            return np.inf
        unit = unit_roundoff(self.dtype) * self.largest
        return self.error / unit if unit else (np.inf if self.error else 0.0)

    def __str__(self) -> str:
        label = self.name if self.name == "loss" else f"dL/d{self.name}"
        if self.problem:
            return f"{label}: {self.problem}"
        where = f"[{', '.join(map(str, self.index))}]" if self.index else ""
        exact = repr if self.dtype == np.float64 else str
        values = f"yours {exact(self.yours)}, autograd {exact(self.autograd)}"
        return f"{label}{where}: {values}, off by {self.error:.4g} (allowed {self.allowed:.2g})"


@dataclass(frozen=True)
class Comparison:
    """A case and what came of it: a breach of the contract, or every tensor by its name, the loss first."""

    case: Case
    tensors: dict[str, Tensor] = field(default_factory=dict)
    breach: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the contract was kept and every tensor passed."""
        return self.breach is None and all(tensor.passed for tensor in self.tensors.values())

    def __str__(self) -> str:
        if self.breach is not None:
            return f"{self.breach}  {self.case}"
        wrong = [tensor for tensor in self.tensors.values() if not tensor.passed]
        return "\n".join(f"{tensor}  {self.case}" for tensor in wrong or self.tensors.values())


def compare(candidate: Candidate, case: Case, reference: Reference) -> Comparison:
    """Run the candidate on a copy of the case and hold what it returns against the reference.

    Of each tensor in turn: present, shape, dtype, finite, value. Its noise is measured only when the difference is over
    8 u max|g|, which is allowed whatever the noise. An exception that the candidate raises becomes a breach.
    """
    evaluate = reference.on(case)
    plain = evaluate()
    # A saturated case asks for torch's own formula: what others make of it is reported, not expected to match.
    measured = cache(lambda: noise(evaluate, plain, any_formula=not case.saturated))
    try:
        returned = _call(candidate, case)
    except ContractError as error:
        return Comparison(case, breach=str(error))
    tensors = {}
    for name, right in plain.items():
        tensors[name] = _tensor(name, returned[name], right, lambda name=name: measured()[name])  # type: ignore[misc]  # mypy: default of a lambda
    return Comparison(case, tensors)


def _call(candidate: Candidate, case: Case) -> dict[str, Any]:
    """What the candidate returns, by name. Raises ContractError when that is not (loss, one gradient per parameter)."""
    given = {"inputs": case.inputs, "targets": case.targets, **case.parameters}
    copies = {name: array.copy() for name, array in given.items()}
    try:
        with np.errstate(all="ignore"):  # overflow in exp(-G1) is no mistake; a NaN that comes of one is seen below
            answer = candidate(*copies.values())
    except Exception as error:
        raise ContractError(f"raised {type(error).__name__}: {error}") from error
    for name, array in given.items():
        if copies[name].shape != array.shape or copies[name].tobytes() != array.tobytes():
            raise ContractError(f"wrote to its argument {name}, expected its arguments unchanged")
    expected = f"expected (loss, ({', '.join(f'dL_d{name}' for name in case.parameters)}))"
    if not isinstance(answer, Sequence) or len(answer) != 2:
        raise ContractError(f"returned {_describe(answer)}, {expected}")
    loss, grads = answer
    if not isinstance(grads, Sequence) or len(grads) != len(case.parameters):
        raise ContractError(f"returned {_describe(grads)} as the gradients, {expected}")
    return {"loss": loss, **dict(zip(case.parameters, grads, strict=True))}


def _describe(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"a {type(value).__name__} of {len(value)}"
    shape = getattr(value, "shape", None)
    return (
        "None" if value is None else f"a {type(value).__name__}{'' if shape is None else f' of shape {tuple(shape)}'}"
    )


def _tensor(name: str, value: Any, right: Array, noise: Callable[[], float]) -> Tensor:
    largest = float(np.abs(right).max())
    try:
        array = _as_array(value, right.dtype)
        problem = _problem(array, right)
    except (TypeError, ValueError, RuntimeError) as failure:
        problem = f"not an array: {failure}"
    if problem is not None:
        return Tensor(name, right.dtype, largest, problem=problem)
    difference = np.abs(array.astype(np.float64) - right.astype(np.float64))
    index = np.unravel_index(np.argmax(difference), right.shape)
    error = float(difference[index])
    bound = allowed(right.dtype, largest)
    if error > bound:
        bound = allowed(right.dtype, largest, noise())
    where = tuple(map(int, index))
    yours, autograd = float(array[index]), float(right[index])
    return Tensor(name, right.dtype, largest, error, bound, where, yours, autograd)


def _as_array(value: Any, dtype: np.dtype[Any]) -> Array:
    """Lists and Python floats carry no dtype of their own and take the case's."""
    if value is None:
        raise TypeError("None")
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().numpy()
    array = np.asarray(value)
    return array.astype(dtype) if isinstance(value, (float, list, tuple)) and array.dtype == np.float64 else array


def _problem(array: Array, right: Array) -> str | None:
    if array.shape != right.shape:
        return f"shape {array.shape}, expected {right.shape}"
    if array.dtype != right.dtype:
        return f"dtype {array.dtype}, expected {right.dtype}"
    if not np.isfinite(array).all():
        index = tuple(map(int, np.argwhere(~np.isfinite(array))[0]))
        return f"{array[index]}{f' at {list(index)}' if index else ''}, expected {right[index]}"
    return None
