"""Any differentiable torch function as the reference: its outputs, and its vector-Jacobian product."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from torch_ref.cases.case import Array, Case, Numbers
from torch_ref.cases.ranges import Range, demand_range
from torch_ref.errors import UnusableError, summary
from torch_ref.precision import Precision
from torch_ref.reference.base import BaseReference, Evaluate
from torch_ref.reference.batches import BATCH, words_of
from torch_ref.reference.calls import OperatorCalls, names_of, upstream_of
from torch_ref.reference.evaluation import demand_usable_parameter, dense
from torch_ref.reference.lending import dtypes_of, lent
from torch_ref.reference.tensors import array_of, tensor_of
from torch_ref.results import Description


@dataclass(frozen=True, eq=False)
class Operator(BaseReference):
    """A layer, an operator, any function of tensors: what a backward pass by itself is checked against.

    function: a differentiable function of tensors that returns one tensor or several, or an nn.Module.

    draw(rng, batch): the arguments by name, in order, a dict of NumPy arrays of any shapes, from a
    np.random.Generator. batch is a size to use or to leave. Floating-point arrays are converted to the dtype of the
    check and differentiated; integers and booleans are passed as they are. A module's parameters follow by name,
    redrawn for each case.

    constant: the names of floating-point arguments that have no gradient. batch: the smallest and the largest.
    name: how reports call it; else the function's.

    A candidate is called as candidate(upstream, *arguments) and returns (outputs, gradients): the outputs as the
    function's (a sequence, if there are several), and a gradient for each differentiated argument, in order and in its
    shape: the sum over all outputs of upstream · ∂output/∂argument. upstream, of standard normal numbers, has the shape
    of the output; for several outputs it is a tuple. Raises ValueError for a batch that is no
    range, UnusableError (a ValueError) for what is no function.

    >>> print(Operator(torch.sin, lambda rng, batch: {"x": rng.standard_normal(batch)}))
    sin
    """

    function: Callable[..., Any]
    draw: Callable[[np.random.Generator, int], Mapping[str, Array]]
    constant: tuple[str, ...] = ()
    batch: Range = BATCH
    name: str = ""

    def __post_init__(self) -> None:
        demand_range("batch", self.batch)
        if not callable(self.function):
            raise UnusableError(f"function: a {type(self.function).__name__}, expected a function or an nn.Module")

    @cached_property
    def cases(self) -> "OperatorCalls":
        """What draws its cases."""
        return OperatorCalls(self.module, self.draw, self.batch, self)

    @property
    def module(self) -> nn.Module | None:
        """The function, if it is a module."""
        return self.function if isinstance(self.function, nn.Module) else None

    @cached_property
    def results(self) -> tuple[str, ...]:
        """The names of the outputs: out; or out[0], out[1], ... if there are several."""
        return names_of(self.outputs(self.cases.draw(*self.cases.explicit()[0].sizes, seed=0)))

    @property
    def description(self) -> Description:
        """The function's name, or the module's class."""
        own = getattr(self.function, "__name__", type(self.function).__name__)
        return Description(self.name or own, own, None, words_of(self.name, self.batch))

    def with_largest_batch(self, largest: int) -> Self:
        """The same reference with batches up to this."""
        return replace(self, batch=(min(self.batch[0], largest), largest))

    def named(self, name: str) -> Self:
        """The same reference under this name."""
        return replace(self, name=name)

    @contextmanager
    def lent(self) -> Iterator[Evaluate]:
        """See BaseReference."""
        modules = [self.module] if self.module else []
        with lent(*modules, given=self.module) as renew:

            def evaluate(case: Case) -> Numbers:
                renew(*dtypes_of(case))
                tensors = _tensors(case)
                leaves = [tensors[name].requires_grad_() for name in case.differentiated]
                with torch.enable_grad():
                    outputs = dict(zip(self.results, self.results_of(case, tensors), strict=True))
                    return self._differentiated(case, outputs, tensors, leaves)

            yield evaluate

    def results_of(self, case: Case, tensors: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """See BaseReference."""
        names = [name for name in case.arguments if name not in case.upstream]
        state = {name: tensors[name] for name, _ in self.module.named_parameters()} if self.module else {}
        own = tuple(tensors[name] for name in names if name not in state)
        try:
            outputs = functional_call(self.module, state, own) if self.module else self.function(*own)
        except Exception as error:
            raise UnusableError(f"reference: raised {summary(error)}  {case}") from error
        several = outputs if isinstance(outputs, tuple | list) else (outputs,)
        for output in several:
            if not isinstance(output, Tensor):
                raise UnusableError(f"reference: returned a {type(output).__name__}, expected a tensor or several")
        return tuple(several)

    def _differentiated(
        self, case: Case, outputs: dict[str, Tensor], tensors: dict[str, Tensor], leaves: list[Tensor]
    ) -> Numbers:
        numbers: Numbers = {name: array_of(output) for name, output in outputs.items()}
        differentiable = {name: output for name, output in outputs.items() if output.requires_grad}
        if not differentiable:
            raise UnusableError("reference: no output depends on an argument that has a gradient, expected one to")
        upstream = [tensors[upstream_of(name)] for name in differentiable]
        grads = torch.autograd.grad(list(differentiable.values()), leaves, upstream, allow_unused=True)
        for name, grad in zip(case.differentiated, grads, strict=True):
            if grad is None:
                raise UnusableError(f"reference: no output depends on {name}; say constant=({name!r},)")
            numbers[name] = dense(name, grad)
        return numbers

    def outputs(self, case: Case) -> tuple[Tensor, ...]:
        """What the function returns for a case, without a gradient."""
        modules = [self.module] if self.module else []
        with lent(*modules, given=self.module) as renew, torch.no_grad():
            renew(*dtypes_of(case))
            return self.results_of(case, _tensors(case))

    def demand_usable(self, precision: Precision) -> None:
        """Raise UnusableError for a reference that can't serve, with what is wrong and what would be right."""
        for name, parameter in self.module.named_parameters() if self.module else ():
            demand_usable_parameter(name, parameter)
        super().demand_usable(precision)


def _tensors(case: Case) -> dict[str, Tensor]:
    """The arguments as tensors, copied by NumPy: torch's copies would be perturbed in a replay."""
    return {name: tensor_of(array.copy(), case.precision) for name, array in case.arguments.items()}
