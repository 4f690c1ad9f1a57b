"""The size that decides is named, and none that does not."""

import pytest

from numpy_impl import loss_and_grads
from tests.comparing import GRADIENTS, LINES
from tests.planted import changed
from tests.worked_examples import relu_mlp
from torch_ref import Shapes, check
from torch_ref.diagnosis.sizes import only_for

pytestmark = pytest.mark.usefixtures("noise_measured_once")


@pytest.mark.parametrize(
    ("wrong_if", "name"),
    [
        (lambda x, **_: len(x) != 1, "right only for batch = 1"),
        (lambda x, **_: len(x) == 1, "wrong only for batch = 1"),
        (lambda W1, **_: len(W1) > 1, "right only for hidden = 1"),
        (lambda W2, **_: len(W2) > 1, "right only for out = 1"),
    ],
)
def test_the_size_that_decides_is_named(wrong_if, name):
    def candidate(inputs, targets, W1, B1, W2, B2):
        if wrong_if(x=inputs, W1=W1, W2=W2):
            raise ValueError("shapes do not fit")
        return loss_and_grads(inputs, targets, W1, B1, W2, B2)

    report = check(candidate, cases=60, shapes=Shapes(outputs=(1, 3)))
    assert (name, LINES) in [(finding.name, finding.tensors) for finding in report.findings]


def test_what_no_mistake_explains_may_depend_on_a_size():
    report = check(changed(W1=lambda g, a: g**3 if len(a.inputs) > 1 else g), cases=60)
    assert [(finding.kind, finding.name) for finding in report.findings] == [
        ("chain", "unexplained"), ("condition", "right only for batch = 1")
    ]  # fmt: skip


@pytest.mark.parametrize("also", [False, True])
def test_no_size_is_said_to_decide_if_the_smallest_case_denies_it(also):
    """No batch of 1 with one input and one hidden unit is among those drawn, but shrinking comes to it."""

    def candidate(inputs, targets, W1, *parameters):
        if len(inputs) > 1 or (also and W1.size == 1):
            raise ValueError("shapes do not fit")
        return loss_and_grads(inputs, targets, W1, *parameters)

    report = check(candidate, cases=40, shapes=Shapes(inputs=(1, 60), hidden=(1, 60)))
    right = [sizes for sizes, passed in report.ordinary.outcomes if passed]
    assert len(right) >= 3
    assert {sizes["batch"] for sizes in right} == {1}
    assert [finding.name for finding in report.findings] == ([] if also else ["right only for batch = 1"])


def test_a_size_is_not_said_to_decide_on_less_than_three_cases():
    outcomes = [({"batch": batch}, batch != 5) for batch in (1, 2, 3, 5, 5)]
    assert only_for(outcomes, GRADIENTS) == []
    assert only_for(outcomes[:1], GRADIENTS) == []
    (finding,) = only_for([*outcomes, ({"batch": 5}, False)], GRADIENTS)
    assert vars(finding) == {
        "kind": "condition",
        "name": "wrong only for batch = 5",
        "tensors": GRADIENTS,
        "text": "wrong for batch = 5 and for no other batch: is that size built into the code?",
    }


def test_a_batch_that_decides_is_named_and_shrunk_to():
    right = relu_mlp.loss_and_grads

    def without_batches(x, t, *parameters):
        if len(x) > 1:
            raise ValueError("one sample only")
        return right(x, t, *parameters)

    report = check(without_batches, reference=relu_mlp.make_reference(), cases=120)
    assert [finding.name for finding in report.findings] == ["right only for batch = 1"]
    assert report.ordinary.failure.case.sizes == {"batch": 2}
