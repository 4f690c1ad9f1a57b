"""What nothing explains is called unexplained, and nothing that a candidate returns ends the diagnosis."""

import numpy as np
import pytest

from tests.comparing import LINES, findings_of
from tests.planted import RELU_MLP, changed, ripple
from tests.worked_examples import relu_mlp
from torch_ref import check

pytestmark = pytest.mark.usefixtures("noise_measured_once")

ODD = {
    "None": lambda _: None,
    "a word": lambda _: "zero",
    "ragged": lambda _: [[0.0], [0.0, 1.0]],
    "one number": lambda g: g.sum() + 1,
    "empty": lambda g: g[:0] if g.ndim else g.reshape(1)[:0],
    "empty, of rank 2": lambda _: np.zeros((0, 1)),
    "NaN": lambda g: g * np.nan,
    "huge": lambda g: np.full_like(g, 1.7e308),
    "complex": lambda g: g * 1j,
    "integers": lambda g: np.zeros(g.shape, int),
    "objects": lambda g: np.asarray(g, object),
    "rank 5": lambda g: g[..., None, None, None],
    "spread": lambda g: np.broadcast_to(g.sum(), (3, 1)),
}

KINDS = [*ODD]
# Each of them in a weight, a bias and the loss, three at a time; then in all at once, but for what leaves a bias with a
# shape that fits: that takes a search of seconds. A loss may be left out.
THREE = [
    dict(zip(("W1", "B2", "loss"), (KINDS[i], KINDS[i - 4], KINDS[i - 8]), strict=True)) for i in range(len(KINDS))
]
ALL = [dict.fromkeys(LINES, kind) for kind in KINDS if kind not in ("None", "spread")]


@pytest.mark.parametrize("kinds", THREE + ALL, ids=lambda kinds: ", ".join(dict.fromkeys(kinds.values())))
def test_whatever_comes_back_is_refused_and_told_about(kinds):
    report = check(changed(**{name: lambda g, _, odd=ODD[kind]: odd(g) for name, kind in kinds.items()}), cases=2)
    names = {name for name, kind in kinds.items() if (name, kind) != ("loss", "None")}
    assert {name for name, tally in report.ordinary.tallies.items() if tally.failed} == names
    assert {name for finding in report.findings for name in finding.tensors} == names
    assert "The smallest case that fails" in str(report)


def test_what_is_nearly_right_in_one_case_and_nan_in_another_is_not_called_nearly_right():
    def nan_from_a_batch_of_4_on(g, a):
        return np.full_like(g, np.nan) if len(a.inputs) > 3 else g + 1e-6 * np.abs(g).max() * ripple(g)

    (finding,) = findings_of(changed(W1=nan_from_a_batch_of_4_on))
    assert (finding.kind, finding.name, finding.tensors) == ("chain", "unexplained", ("W1",))


def test_what_no_mistake_explains_in_any_network_is_said_to_be_unexplained():
    candidate = RELU_MLP.changed(**{"4.weight": lambda g, _: g**3})
    (finding,) = check(candidate, reference=relu_mlp.make_reference(), cases=5).findings
    assert (finding.kind, finding.name, finding.tensors) == ("chain", "unexplained", ("4.weight",))
    assert finding.text == (
        "No mistake known here gives these numbers. Wrong: dL/d4.weight; right: loss, dL/d0.weight, dL/d0.bias, "
        "dL/d2.weight, dL/d2.bias, dL/d4.bias."
    )


def test_what_is_wrong_everywhere_says_that_nothing_is_right():
    cubed = RELU_MLP.changed(**dict.fromkeys(("loss", *RELU_MLP.names), lambda g, _: g**3))
    finding = check(cubed, reference=relu_mlp.make_reference(), cases=5).findings[-1]
    assert finding.text.endswith(", dL/d4.bias; right: nothing.")


def test_a_gradient_without_values_is_not_called_a_mistake_unknown():
    candidate = RELU_MLP.changed(**{"0.weight": lambda *_: None})
    (finding,) = check(candidate, reference=relu_mlp.make_reference(), cases=5).findings
    assert (finding.kind, finding.name, finding.text) == (
        "form", "nothing to compare", "dL/d0.weight: not an array: None."
    )  # fmt: skip
