"""A case of a reference as a graph: traced, and made such that it can be replayed."""

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.nn.attention import SDPBackend, sdpa_kernel

from torch_ref.cases.case import UPSTREAM, Case
from torch_ref.diagnosis.graph.gates import letters_of
from torch_ref.diagnosis.graph.in_place import make_functional
from torch_ref.diagnosis.graph.nodes import is_backward
from torch_ref.diagnosis.graph.textbook import table
from torch_ref.diagnosis.graph.trace import Trace
from torch_ref.reference.base import BaseReference
from torch_ref.torch_private import READ, DispatchMode, tracing

aten: Any = torch.ops.aten


class NotTracedError(Exception):
    """There is no graph to search, and why."""


def prepare() -> None:
    """Import what tracing takes: a second, once."""
    tracing().make_fx(torch.neg, decomposition_table=table())(torch.ones(1))


def trace(reference: BaseReference, case: Case, like: Trace | None = None) -> Trace:
    """The graph of a case. Called while the reference is lent and has just evaluated a case of this precision.

    Where each operator comes from, which takes most of the time, is taken from a graph that is alike, if there is one.
    Raises NotTracedError if it is not alike.
    """
    tensors = [torch.from_numpy(array.copy()) for array in case.arguments.values()]
    for name, tensor in zip(case.arguments, tensors, strict=True):
        tensor.requires_grad_(name in case.differentiated)

    def forward(named: dict[str, Tensor]) -> Any:
        """By this name, since torch notes the lines that a `forward` calls, and no others."""
        return reference.results_of(case, named)

    def computed(*arguments: Tensor) -> tuple[Tensor, ...]:
        named = dict(zip(case.arguments, arguments, strict=True))
        with _NumbersRead():
            results = forward(named)
        roots = [result for result in results if result.requires_grad]
        if like is None:
            tracing().remember_forward([result.grad_fn for result in roots])
        rooted = [name for name, result in zip(reference.results, results, strict=True) if result.requires_grad]
        upstream = [named[name.replace("out", UPSTREAM, 1)] for name in rooted] if case.upstream else []
        leaves = [named[name] for name in case.differentiated]
        return (*results, *torch.autograd.grad(roots, leaves, upstream or None))

    first = like is None
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # anomaly detection warns of the time it takes, and of where it fails
        noted = torch.autograd.detect_anomaly(check_nan=False)  # keeps what each backward operator is of
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))  # the others are no primitive operators
        stack.enter_context(tracing().noted_quickly())
        notes = noted, _modules_noted(reference.module), tracing().preserve_node_meta()
        for note in notes if first else ():
            stack.enter_context(note)
        graph = tracing().make_fx(computed, decomposition_table=table(), record_stack_traces=first)(*tensors)
    make_functional(graph)
    if like is not None:
        if _pattern(graph) != _pattern(like.graph):
            raise NotTracedError("its graph is another one for each batch")
        for node, other in zip(graph.graph.nodes, like.graph.graph.nodes, strict=True):
            node.meta = other.meta
    _tidy(graph)
    names = (*reference.results, *case.differentiated)
    return Trace(graph, case, [tensor.detach() for tensor in tensors], names)


class _NumbersRead(DispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """While entered, a model may read a number out of a tensor, by .item() or `if`: each case has its own graph."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return args[0].tolist() if func is READ else func(*args, **(kwargs or {}))


@contextmanager
def _modules_noted(module: nn.Module | None) -> Iterator[None]:
    """While entered, what is traced within a submodule has its name and class in meta["custom"]."""
    entered: list[Any] = []
    handles = []
    for name, part in module.named_modules() if module else ():

        def enter(part: nn.Module, _args: Any, name: str = name) -> None:
            entered.append(tracing().annotate({"module": (name, type(part).__name__), **letters_of(part)}))
            entered[-1].__enter__()

        def leave(*_: Any) -> None:
            entered.pop().__exit__(None, None, None)

        handles += [part.register_forward_pre_hook(enter), part.register_forward_hook(leave)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _pattern(graph: GraphModule) -> list[str]:
    """What must be alike for an edit to be carried over to another case."""
    return [f"{node.target} {len(node.args)}" for node in graph.graph.nodes]


def _tidy(graph: GraphModule) -> None:
    """What is saved is what it was saved of."""
    for node in graph.graph.nodes:
        if is_backward(node):
            for argument in node.all_input_nodes:
                source = argument
                while source.target in (aten.alias.default, aten.detach.default):
                    source = source.args[0]
                node.replace_input_with(argument, source)
