"""One candidate on one case: its loss and each gradient against the reference. Measured first, judged second."""

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from torch_ref.candidate import Candidate, ContractError, UnusableError, as_array, call
from torch_ref.cases import Array, Case, Tensors, label
from torch_ref.reference import Reference
from torch_ref.rounding import allowed, replay, unit_roundoff


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
    def relative(self) -> float:
        """The error as a share of max|g|. Infinite where there is no value to compare, or max|g| is 0 and it is not."""
        if self.problem:
            return np.inf
        return self.error / self.largest if self.largest else (np.inf if self.error else 0.0)

    @property
    def units(self) -> float:
        """The error in units of u × max|g|, the size of one rounding."""
        return self.relative / unit_roundoff(self.dtype)

    def __str__(self) -> str:
        if self.problem:
            return f"{label(self.name)}: {self.problem}"
        where = f"[{', '.join(map(str, self.index))}]" if self.index else ""
        yours, autograd = (str(self.dtype.type(value)) for value in (self.yours, self.autograd))  # each digit, no more
        values = f"yours {yours}, autograd {autograd}"
        return f"{label(self.name)}{where}: {values}, off by {self.error:.4g} (allowed {self.allowed:.2g})"


@dataclass(frozen=True)
class Comparison:
    """A case and what came of it: a breach of the contract, or every tensor by its name, the loss first.

    yours has what the candidate returned, as far as that was arrays, in whatever shape; autograd has what is right.
    """

    case: Case
    autograd: Tensors
    yours: Tensors = field(default_factory=dict)
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


def compare(candidate: Candidate, case: Case, reference: Reference, *, lazy: bool = True) -> Comparison:
    """Run the candidate on a copy of the case and hold what it returns against the reference.

    Of each tensor in turn: present, shape, dtype, finite, value. When lazy, noise is measured only where a difference
    is over 8 u max|g|, which is allowed whatever the noise, and only until the noise explains it. A breach of the
    contract ends the comparison, not the program. Raises UnusableError when the reference itself is not finite.
    """
    plain = reference.evaluate(case)
    for name, array in plain.items():
        if not np.isfinite(array).all():
            raise UnusableError(f"reference: {label(name)} is not finite, expected finite numbers  {case}")
    try:
        returned = call(candidate, case)
    except ContractError as error:
        return Comparison(case, plain, breach=str(error))
    tensors, yours = {}, {}
    for name, right in plain.items():
        try:
            yours[name] = as_array(returned[name], right.dtype)
            problem = _problem(yours[name], right, case)
        except (TypeError, ValueError, RuntimeError) as error:
            problem = f"not an array: {error}"
        largest = float(np.abs(right).max())
        tensor = Tensor(name, right.dtype, largest, allowed=allowed(right.dtype, largest), problem=problem)
        tensors[name] = tensor if problem else _measured(tensor, yours[name], right)

    doubtful = [name for name, tensor in tensors.items() if not (lazy and (tensor.passed or tensor.problem))]
    if doubtful:
        # A saturated case asks for torch's own formula: what others make of it is reported, not expected to match.
        replays = replay(partial(reference.evaluate, case), plain, any_formula=not case.saturated)
        for noise in replays:
            tensors |= {name: _with_noise(tensors[name], noise[name]) for name in doubtful}
            if lazy and all(tensors[name].passed for name in doubtful):
                break
    return Comparison(case, plain, yours, tensors)


def _measured(tensor: Tensor, array: Array, right: Array) -> Tensor:
    difference = np.abs(array.astype(np.float64) - right.astype(np.float64))
    index = np.unravel_index(np.argmax(difference), right.shape)
    where = tuple(map(int, index))
    yours, autograd = float(array[index]), float(right[index])
    return replace(tensor, error=float(difference[index]), index=where, yours=yours, autograd=autograd)


def _with_noise(tensor: Tensor, noise: float) -> Tensor:
    return replace(tensor, allowed=allowed(tensor.dtype, tensor.largest, noise))


def _problem(array: Array, right: Array, case: Case) -> str | None:
    if array.shape != right.shape:
        return f"shape {array.shape}, expected {right.shape}{_hint(array, right, case)}"
    if array.dtype != right.dtype:
        return f"dtype {array.dtype}, expected {right.dtype}"
    if not np.isfinite(array).all():
        index = tuple(map(int, np.argwhere(~np.isfinite(array))[0]))
        return f"{array[index]}{f' at {list(index)}' if index else ''}, expected {right[index]}"
    return None


def _hint(array: Array, right: Array, case: Case) -> str:
    batch = case.sizes["batch"]
    if array.ndim == 0:
        return ": summed over everything"
    if right.ndim == 0:
        return ": one loss for each sample or output, not their mean or sum" if array.size > 1 else ": a scalar"
    if array.size == right.size:
        return ": transposed" if array.T.shape == right.shape else ": the same elements in another shape"
    if array.shape in ((right.shape[0], batch), (batch, *right.shape)):
        return ": not summed over the batch"
    return ": summed over the other axis" if array.size == batch else ""
