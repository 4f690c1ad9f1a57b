"""Torch modules borrowed for a while: other values, another dtype, and afterwards everything as it was."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from torch_ref.cases.case import Array, Case


@contextmanager
def lent(*modules: nn.Module, given: nn.Module | None = None) -> Iterator[Callable[..., None]]:
    """While entered, the function given makes the modules' parameters and buffers new copies, floats in that dtype.

    If it is given two, floats are rounded to the second first.

    The parameters of `given`, one of them, are left alone: a case brings its own. Afterwards all are the tensors they
    were before, with the values they had: running statistics too.
    """
    parameters = [(p, p.data) for module in modules for p in module.parameters()]
    copied = [(p, p.data) for module in modules if module is not given for p in module.parameters()]
    buffers = [
        (part, name, buffer)
        for module in modules
        for part in module.modules()
        for name, buffer in part.named_buffers(recurse=False)
    ]

    def renew(dtype: torch.dtype, first: torch.dtype | None = None) -> None:
        for parameter, data in copied:
            parameter.data = _copy(data, dtype, first)
        for part, name, buffer in buffers:
            real = buffer.is_floating_point()
            setattr(part, name, _copy(buffer, dtype, first) if real else _copy(buffer, buffer.dtype))

    try:
        yield renew
    finally:
        for parameter, data in parameters:
            parameter.data = data
        for part, name, buffer in buffers:
            setattr(part, name, buffer)


def dtypes_of(case: Case) -> tuple[torch.dtype, ...]:
    """That of a case; and, of one whose arguments have been widened, that in which they were."""
    formats = (case.precision, case.origin) if case.origin else (case.precision,)
    return tuple(getattr(torch, precision.name) for precision in formats)


def _copy(tensor: Tensor, dtype: torch.dtype, first: torch.dtype | None = None) -> Tensor:
    rounded = tensor if first is None else tensor.to(first)
    return torch.empty(tensor.shape, dtype=dtype).copy_(rounded)  # in place: not perturbed in a replay


def redrawn(module: nn.Module, rng: np.random.Generator) -> dict[str, Array]:
    """New float64 parameters by name, in their order: what each submodule's own `reset_parameters` draws.

    What that leaves as it was, or makes all alike (a bias of 0, a layer norm's weight of 1), hides mistakes: it is
    moved by up to half its size, 0 by up to 1/2. The module itself is left alone, and so are torch's random numbers.
    """
    before = [p.data for p in module.parameters()]
    with lent(module) as renew, torch.random.fork_rng(devices=[]):
        renew(torch.float64)
        torch.default_generator.manual_seed(int(rng.integers(2**63)))
        for part in module.modules():
            if callable(reset := getattr(part, "reset_parameters", None)):
                reset()
        arrays = {}
        for (name, parameter), old in zip(module.named_parameters(), before, strict=True):
            array = parameter.detach().numpy()
            if torch.equal(parameter, old.double()) or (array == array.flat[0]).all():
                array = array + (np.abs(array).mean() or 1) * rng.uniform(-0.5, 0.5, array.shape)
            arrays[name] = array
    return arrays
