"""The cases of an operator: what it is called with, and the upstream gradients of its outputs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from torch import Tensor

from torch_ref.cases.case import UPSTREAM, Array, Case, log_uniform
from torch_ref.cases.drawing import Explicit
from torch_ref.cases.formats import in_format
from torch_ref.errors import UnusableError
from torch_ref.precision import Precision
from torch_ref.reference.batches import Batches, Data, usable

if TYPE_CHECKING:  # it makes these
    from torch_ref.reference.operator import Operator

SPARSE = "sparse upstream"  # half of it is 0, as where a mask lies on the loss
SMALL, LARGE = "small upstream", "large upstream"  # a loss may be scaled
SIZES = {SMALL: (1e-4, 1e-2), LARGE: (1e2, 1e4)}  # the large ones are beyond what gradients are clipped at


@dataclass(frozen=True)
class OperatorCalls(Batches):
    """Cases of an operator: its arguments, a module's parameters, and an upstream gradient for each output."""

    reference: "Operator"

    kinds: ClassVar[tuple[str, ...]] = (*Batches.kinds, SPARSE, SMALL, LARGE)

    def explicit(self) -> list[Explicit]:
        """Those of any batches, and each kind of upstream gradient."""
        (sizes,) = self.within([(5,)])
        return [*super().explicit(), *(Explicit(sizes, kind) for kind in (SPARSE, SMALL, LARGE))]

    def data_of(self, drawn: Any, precision: Precision) -> Data:
        """The arguments by name."""
        if not isinstance(drawn, Mapping):
            raise UnusableError(f"reference: draw returned a {type(drawn).__name__}, expected a dict of arrays")
        for name in drawn:
            if not isinstance(name, str) or name.partition("[")[0] in (UPSTREAM, "out"):
                raise UnusableError(f"reference: an argument is called {name!r}, as something else is; rename it")
        return Data({name: usable(name, value, precision) for name, value in drawn.items()})

    def complete(self, case: Case, rng: np.random.Generator) -> Case:
        """With an upstream gradient before the arguments, and with what is differentiated."""
        if missing := [name for name in self.reference.constant if name not in case.arguments]:
            raise UnusableError(f"reference: constant: no argument is called {missing[0]!r}")
        frozen = {n for n, p in self.module.named_parameters() if not p.requires_grad} if self.module else set()
        floats = [name for name, array in case.arguments.items() if array.dtype.kind == "f"]
        names = tuple(name for name in floats if name not in {*self.reference.constant, *frozen})
        if not names:
            raise UnusableError(
                "reference: no argument has a gradient, expected a floating-point one that is not constant"
            )
        outputs = self.reference.outputs(case.judged)
        upstream = {
            upstream_of(name): in_format(_upstream(case.kind, rng, tuple(output.shape)), case.precision)
            for name, output in zip(names_of(outputs), outputs, strict=True)
            if output.is_floating_point()
        }
        packs = {UPSTREAM: tuple(upstream)} if len(upstream) > 1 else {}
        return replace(case, arguments=upstream | case.arguments, differentiated=names, packs=packs, gradient="∂/∂")


def upstream_of(output: str) -> str:
    """The name of the upstream gradient of an output: upstream of out, upstream[1] of out[1]."""
    return output.replace("out", UPSTREAM, 1)


def names_of(outputs: tuple[Tensor, ...]) -> tuple[str, ...]:
    """How the outputs are called: out, or out[0], out[1], ... if there are several."""
    return ("out",) if len(outputs) == 1 else tuple(f"out[{i}]" for i in range(len(outputs)))


def _upstream(kind: str, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    drawn: Array = rng.standard_normal(shape)
    if kind == SPARSE:
        return drawn * rng.integers(0, 2, shape)
    return drawn * (log_uniform(rng, *SIZES[kind]) if kind in SIZES else 1.0)
