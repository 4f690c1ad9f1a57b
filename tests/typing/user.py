"""A user's file, for mypy: each public name as its users see it. Nothing runs it.

A line with `type: ignore` is a wrong call: were it accepted, mypy would call the comment unused.
"""

from typing import Any, assert_type

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

import torch_ref
from torch_ref import (
    ContractError,
    Finding,
    Operator,
    Reference,
    Report,
    Shapes,
    TwoLayers,
    UnusableError,
    assert_matches_autograd,
    check,
)

Array = npt.NDArray[Any]


def right(x: Array, t: Array, *parameters: Array) -> tuple[float, list[Array]]:
    """A candidate: it may return what it likes."""
    return float(x.sum() + t.sum()), list(parameters)


def draw(rng: np.random.Generator, batch: int) -> tuple[Array, Array]:
    """A batch."""
    return rng.standard_normal((batch, 3)), rng.standard_normal((batch, 2))


def masked(x: Tensor, mask: Tensor) -> Tensor:
    """An operator."""
    return x * mask


def draw_arguments(rng: np.random.Generator, batch: int) -> dict[str, Array]:
    """Its arguments."""
    return {"x": rng.standard_normal(batch), "mask": rng.random(batch)}


def uses() -> None:
    """Every public name, with every option."""
    reference = Reference(nn.Linear(3, 2), nn.functional.mse_loss, draw, batch=(2, 9), name="mine")
    assert_type(reference, Reference)
    operator = Operator(masked, draw_arguments, constant=("mask",), batch=(1, 4), name="mine")
    assert_type(check(right, reference=operator), Report)
    network = TwoLayers(activation="tanh", loss="half-mse", reduction="sum", shapes=Shapes(batch=(1, 9)))
    assert_type(network, TwoLayers)
    report = check(right, reference=reference, cases=10, seed=1, dtype="float32", strict=True, time=True, name="mine")
    assert_type(report, Report)
    assert_type(report.passed, bool)
    assert_type(report.findings, list[Finding])
    assert_type(report.findings[0].tensors, tuple[str, ...])
    assert_type(str(report), str)
    assert_type(check(right, activation="relu", loss="mse", reduction="sum", shapes=Shapes((1, 4))), Report)
    seen: list[int] = []
    assert_matches_autograd(right, reference=network, on_case=seen.append)
    assert_type(torch_ref.__version__, str)
    errors: tuple[type[Exception], ...] = (ContractError, UnusableError)
    assert_type(errors, tuple[type[Exception], ...])


def misuses() -> None:
    """What mypy must refuse."""
    check(right, activation="gelu")  # type: ignore[arg-type]
    check(right, loss="hinge")  # type: ignore[arg-type]
    check(right, cases="100")  # type: ignore[arg-type]
    check(right, reference=nn.Linear(3, 2))  # type: ignore[arg-type]
    check(right, dytpe="float32")  # type: ignore[call-arg]
    check(3)  # type: ignore[arg-type]
    check(right, None)  # type: ignore[call-arg]
    assert_matches_autograd(right, reduction="none")  # type: ignore[arg-type]
    TwoLayers(activation="gelu")  # type: ignore[arg-type]
    Shapes(batch=4)  # type: ignore[arg-type]
    Reference(nn.Linear(3, 2), nn.functional.mse_loss)  # type: ignore[call-arg]
    torch_ref.chekc(right)  # type: ignore[attr-defined]
