"""What many tests start from: a case, a function compared with a reference on it, and what a diagnosis finds."""

from torch_ref import Shapes, TwoLayers
from torch_ref.candidate.calling import InProcess
from torch_ref.cases.case import Case
from torch_ref.comparison import compare
from torch_ref.diagnosis.diagnosis import diagnose
from torch_ref.diagnosis.evidence import gather
from torch_ref.precision import PRECISIONS
from torch_ref.two_layers.cases import TwoLayerCases
from torch_ref.two_layers.stages import NAMES as LINES

GRADIENTS = LINES[1:]  # W1, B1, W2, B2; LINES has the loss besides
ONE_OUTPUT, MORE_OUTPUTS = Shapes(), Shapes(outputs=(2, 3))


def draw(*sizes, seed, dtype="float64", saturated=False):
    """A case of the two-layer network."""
    return TwoLayerCases().draw(*sizes, seed=seed, precision=PRECISIONS[dtype], saturated=saturated)


def case_of(inputs, targets, W1, B1, W2, B2, *, saturated=False):
    """A case of the two-layer network, of these arrays."""
    sizes = {"batch": len(inputs), "in": inputs.shape[1], "hidden": len(W1), "out": len(W2)}
    arguments = {"inputs": inputs, "targets": targets, "W1": W1, "B1": B1, "W2": W2, "B2": B2}
    return Case(0, sizes, arguments, GRADIENTS, PRECISIONS[W1.dtype.name], saturated)


def parameters_of(case):
    """The differentiated arguments by name."""
    return {name: case.arguments[name] for name in case.differentiated}


def compared(function, case, reference, *, lazy=True):
    """A function compared with a reference on a case."""
    candidate = InProcess(function, reference.results, reference.options)
    return compare(candidate, case, reference.evaluate, lazy=lazy)


def evidence_of(candidate, reference, dtype="float64"):
    """What a diagnosis is made from, of a candidate that keeps the contract."""
    called = InProcess(candidate, reference.results, reference.options)
    evidence = gather(called, reference, draw(2, 1, 1, 1, seed=0, dtype=dtype))
    assert not any(comparison.breach for comparison in evidence.comparisons), str(evidence.first)
    return evidence


def findings_of(candidate, shapes=MORE_OUTPUTS, dtype="float64", **network):
    """What the diagnosis finds in a candidate of a two-layer network."""
    return diagnose(evidence_of(candidate, TwoLayers(shapes=shapes, **network), dtype))
