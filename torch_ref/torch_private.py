"""Every private name of torch that is used here, and why, in one place. A test says when one goes."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from itertools import starmap
from traceback import FrameSummary, StackSummary, walk_stack
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from torch._decomp import decomposition_table
from torch.utils._python_dispatch import TorchDispatchMode

# Of a fused operator its parts, in operators of torch: a softmax is an exp, a sum and a division. Imported with torch.
# Taken out of their wrappers, which convert dtypes, of which there is one here, and import sympy.
DECOMPOSITIONS: Mapping[Any, Callable[..., Any]] = {
    func: inspect.unwrap(parts) for func, parts in decomposition_table.items()
}
# The operator of .to(dtype), .double() and their like.
TO_COPY: Any = torch.ops.aten._to_copy  # noqa: SLF001
# The operator of .item(), of bool() and int().
READ: Any = torch.ops.aten._local_scalar_dense.default  # noqa: SLF001
# What torch warns of when a loss broadcasts its arguments.
TARGET_SIZE_WARNING = "target size"


class DispatchMode(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """While entered, every operator that autograd's own forward and backward pass call goes through __torch_dispatch__.

    There is no public way to see the operators of a backward pass.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # likewise

    # Nothing is compiled here, and asking dynamo to stay away would import it: a second or more.
    _should_skip_dynamo = classmethod(lambda _: False)


def writes(func: Any) -> bool:
    """Whether the operator changes one of its arguments: only its schema says so."""
    return bool(func._schema.is_mutable)  # noqa: SLF001


def out_of_place(func: Any) -> Any:
    """Of `add_` what `add` is: the operator that gives what the other writes to its first argument, or None."""
    name = func._schema.name.removeprefix("aten::")  # noqa: SLF001
    packet = getattr(torch.ops.aten, name.removesuffix("_"), None) if name.endswith("_") else None
    other = getattr(packet, "int", None) if name == "transpose_" else None  # the one whose overload has another name
    return other or getattr(packet, func._overloadname, None)  # noqa: SLF001


class Tracing(NamedTuple):
    """What tracing a graph of primitive operators takes."""

    make_fx: Callable[..., Any]
    core_aten_decompositions: Callable[[], dict[Any, Any]]
    get_decompositions: Callable[[list[Any]], dict[Any, Any]]
    annotate: Callable[[dict[str, Any]], Any]  # while entered, what is traced has this in meta["custom"]
    preserve_node_meta: Callable[[], Any]
    remember_forward: Callable[[list[Any]], None]  # what is traced after knows the seq_nr of the forward operator
    map_arg: Callable[..., Any]
    noted_quickly: Callable[[], Any]  # while entered, tracing takes half the time; stacks have what a `forward` calls


@cache
def tracing() -> Tracing:
    """Imported when it is called: only failures pay for it, a second or so."""
    from torch._decomp import core_aten_decompositions, get_decompositions  # noqa: PLC0415  # costs a second
    from torch._functorch._aot_autograd.logging_utils import setup_stacktrace_preservation_hooks  # noqa: PLC0415
    from torch.fx import proxy  # noqa: PLC0415
    from torch.fx.experimental import proxy_tensor  # noqa: PLC0415
    from torch.fx.node import map_arg  # noqa: PLC0415
    from torch.fx.traceback import annotate, preserve_node_meta  # noqa: PLC0415

    extracted = proxy_tensor.extract_val

    def described(value: Any, include_real: bool = False) -> Any:  # noqa: FBT001, FBT002  # torch calls it so
        """Of a tensor one without elements: torch makes a new mode for each, and that looks at the whole stack."""
        if type(value) is torch.Tensor and value.layout is torch.strided:
            return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")
        return extracted(value, include_real)

    @contextmanager
    def noted_quickly() -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(patch.object(proxy_tensor, "extract_val", described))
            stack.enter_context(patch.object(proxy, "CapturedTraceback", _Stack))
            as_it_is = patch.object(proxy_tensor.PythonKeyTracer, "_filter_traceback_frames", lambda _, frames: frames)
            stack.enter_context(as_it_is)
            yield

    return Tracing(
        *(proxy_tensor.make_fx, core_aten_decompositions, get_decompositions, annotate, preserve_node_meta),
        *(setup_stacktrace_preservation_hooks, map_arg, noted_quickly),
    )


class _Stack(StackSummary):
    """The lines that the outermost `forward` calls, itself included: torch reads those of the whole stack first."""

    @classmethod
    def extract(cls) -> "_Stack":  # type: ignore[override]
        """Of where it is called. It keeps no frame: torch copies a tensor that somebody else has too."""
        calls = [(of.f_code.co_filename, line, of.f_code.co_name) for of, line in walk_stack(inspect.currentframe())]
        calls.reverse()
        first = next((i for i, (*_, name) in enumerate(calls) if name == "forward"), len(calls))
        return cls(starmap(FrameSummary, calls[first:]))

    def summary(self) -> "_Stack":
        return self


def operator_of(name: str) -> Any:
    """An operator of torch by name: many begin with an underscore."""
    return getattr(torch.ops.aten, name)
