"""What many tests start from: a case of the two-layer network, and a function compared with a reference on a case."""

from torch_ref.candidate.calling import InProcess
from torch_ref.cases.case import Case
from torch_ref.comparison import compare
from torch_ref.precision import PRECISIONS
from torch_ref.two_layers.cases import TwoLayerCases


def draw(*sizes, seed, dtype="float64", saturated=False):
    return TwoLayerCases().draw(*sizes, seed=seed, precision=PRECISIONS[dtype], saturated=saturated)


def compared(function, case, reference, *, lazy=True):
    candidate = InProcess(function, reference.results, reference.options)
    return compare(candidate, case, reference.evaluate, lazy=lazy)


def parameters_of(case):
    """The differentiated arguments by name."""
    return {name: case.arguments[name] for name in case.differentiated}


def case_of(inputs, targets, W1, B1, W2, B2, *, saturated=False):
    """A case of the two-layer network, of these arrays."""
    sizes = {"batch": len(inputs), "in": inputs.shape[1], "hidden": len(W1), "out": len(W2)}
    arguments = {"inputs": inputs, "targets": targets, "W1": W1, "B1": B1, "W2": W2, "B2": B2}
    return Case(0, sizes, arguments, ("W1", "B1", "W2", "B2"), PRECISIONS[W1.dtype.name], saturated)
