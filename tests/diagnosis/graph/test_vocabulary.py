"""What a sentence is made of has a name in the field, in every layer of the benchmark of the naming."""

import pytest

from tests.benchmark.naming.__main__ import KINDS
from torch_ref.diagnosis.graph.formulas import named
from torch_ref.diagnosis.graph.origin import origin_of
from torch_ref.diagnosis.graph.tracing import trace
from torch_ref.diagnosis.graph.vocabulary import NAMES, operator


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_operator_and_every_value_has_a_name_that_is_not_torchs(kind):
    case = kind.reference.cases.draw(*kind.reference.cases.telling()[0], seed=0)
    with kind.reference.lent() as evaluate:
        evaluate(case)
        traced = trace(kind.reference, case)
    said = {operator(origin_of(traced, i).operator) for i in traced.everything}
    said |= {named(traced, i) for i in range(len(traced.nodes))}
    assert not [text for text in said if "operator `" in text or "arg0" in text]


def test_a_name_is_not_torchs_and_what_has_none_is_said_to_be_torchs():
    assert not [name for name in NAMES.values() if "_" in name or name in ("rsub", "ne", "mm", "bmm", "addmm")]
    assert operator("relu_") == "ReLU"
    assert operator("_fancy_new") == "operator `fancy_new`"
