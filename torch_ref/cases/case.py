"""What one case is: the arguments of a candidate, by name, and which of them are differentiated."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from torch_ref.precision import Precision

Array: TypeAlias = npt.NDArray[Any]
Numbers: TypeAlias = dict[str, Array]  # by name: the results, then the gradient of each differentiated argument

Pack: TypeAlias = tuple[str, ...] | Mapping[str, str]

UPSTREAM = "upstream"  # the first argument of an operator's backward pass
NORMAL = "normal"  # the kind of data that is drawn if nothing is said
ORDERS = {"Fortran": "in Fortran order", "strided": "as strided views"}  # of memory besides C order, as said in print


@dataclass(frozen=True, eq=False)
class Case:
    """Everything a candidate is given, and where it came from.

    arguments go by name, in the order a candidate takes them. All are C-contiguous; the floating-point ones have the
    dtype of `precision`. kind is what the data is like, one of `Cases.kinds`. A candidate gets copies in this memory
    order: C, Fortran, or strided (views with gaps). packs says which of them it gets as one, by the name of the whole:
    their names, or their names by key, for a tuple or a dict of arrays. A gradient is called `gradient` and the name of
    its argument, as in dL/dW1. asked are the names of the results and gradients that are judged; none means all.
    alone is the one argument whose gradient code in torch is asked for, as ctx.needs_input_grad says; "" for all.
    With step, a candidate is a training step, and what is differentiated are the parameters that it changes; None
    where there is no such thing.
    origin is the format that arguments were in, where they have been widened; with own_format, what is right is what
    autograd computes in the format of the case, however coarse.
    """

    seed: int
    sizes: dict[str, int]
    arguments: dict[str, Array]
    differentiated: tuple[str, ...]
    precision: Precision
    saturated: bool = False
    kind: str = NORMAL
    order: str = "C"
    gradient: str = "dL/d"
    packs: Mapping[str, Pack] = field(default_factory=dict)
    asked: tuple[str, ...] = ()
    alone: str = ""
    step: bool | None = None
    origin: Precision | None = None
    own_format: bool = False

    @property
    def size(self) -> int:
        """The number of elements of all arguments."""
        return sum(array.size for array in self.arguments.values())

    @cached_property
    def terms(self) -> int:
        """The length of the longest axis of any argument, 1 if there is none: so many terms has a sum along it."""
        return max(1, *(max(array.shape, default=1) for array in self.arguments.values()))

    @cached_property
    def upstream(self) -> tuple[str, ...]:
        """The names of the upstream gradients among the arguments, one for each output that has a gradient."""
        return tuple(name for name in self.arguments if name.partition("[")[0] == UPSTREAM)

    @property
    def given(self) -> tuple[str, ...]:
        """The names of the arguments that are not differentiated."""
        return tuple(name for name in self.arguments if name not in self.differentiated)

    def asks(self, name: str) -> bool:
        """Whether this result or gradient is judged."""
        return name == self.alone if self.alone else not self.asked or name in self.asked

    def copies(self) -> Numbers:
        """Copies of the arguments, in the memory order of the case."""
        return {name: _laid_out(array, self.order) for name, array in self.arguments.items()}

    def packed(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values of the arguments, by name, as a candidate is given them: those of a pack in one tuple or dict."""
        if not self.packs:
            return dict(values)
        packs = {name: whole for whole, pack in self.packs.items() for name in _names(pack)}
        wholes = dict.fromkeys(packs.get(name, name) for name in values)
        return {whole: _taken(self.packs[whole], values) if whole in self.packs else values[whole] for whole in wholes}

    def label(self, name: str) -> str:
        """How a result or a gradient is called in print: loss, dL/dW1."""
        return f"{self.gradient}{name}" if name in self.differentiated else name

    def with_arguments(self, **arrays: Array) -> "Case":
        """The same case with these arguments in place of its own."""
        return replace(self, arguments=self.arguments | arrays)

    def widened(self, precision: Precision) -> "Case":
        """The same case, its floating-point arguments widened to another format."""
        arguments = {
            name: array.astype(precision.array) if array.dtype.kind == "f" else array
            for name, array in self.arguments.items()
        }
        return replace(self, arguments=arguments, precision=precision, origin=self.precision, own_format=False)

    def in_truth(self) -> "Case":
        """The same case in the format in which the truth is computed."""
        return self.widened(self.precision.truth or self.precision)

    @property
    def judge(self) -> Precision:
        """The format in which what is right is computed: that of the truth, if its own is coarse."""
        coarse = self.precision.coarse and not self.own_format
        return self.precision.truth if coarse and self.precision.truth else self.precision

    @property
    def judged(self) -> "Case":
        """The same case in that format."""
        return self if self.judge is self.precision else self.widened(self.judge)

    def in_own_format(self) -> "Case":
        """The same case, what is right being what autograd computes in its format, however coarse."""
        return replace(self, own_format=True)

    def __str__(self) -> str:
        sizes = " ".join(f"{name}={size}" for name, size in self.sizes.items())
        words = [
            f"seed={self.seed} {sizes} {self.precision}",
            *(["saturated"] if self.saturated else []),
            *([self.kind] if self.kind != NORMAL else []),
            *([f"{self.order} order"] if self.order != "C" else []),
            *([f"{self.label(self.alone)} alone asked for"] if self.alone else []),
        ]
        return f"[{' '.join(words)}]"


def _names(pack: Pack) -> Iterable[str]:
    return pack.values() if isinstance(pack, Mapping) else pack


def _taken(pack: Pack, values: Mapping[str, Any]) -> Any:
    if isinstance(pack, Mapping):
        return {key: values[name] for key, name in pack.items()}
    return tuple(values[name] for name in pack)


def _laid_out(array: Array, order: str) -> Array:
    """A copy with the same elements in another place of memory."""
    if order == "Fortran":
        return array.copy(order="F")
    if order == "strided" and array.ndim:  # a gap after each element, another after each row, and so on
        *outer, last = array.shape
        gaps = np.zeros([*(size + 1 for size in outer), 2 * last + 1], array.dtype)
        view = gaps[(*map(slice, outer), slice(0, 2 * last, 2))]
        view[...] = array
        return view
    return array.copy()


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number between the two, every order of magnitude as likely."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
