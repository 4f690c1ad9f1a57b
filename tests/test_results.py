"""What was found, as data: how a comparison reads, and which cases prove nothing."""

import re

from numpy_impl import loss_and_grads
from tests.comparing import compared, draw
from tests.planted import changed
from torch_ref import TwoLayers
from torch_ref.precision import FLOAT64
from torch_ref.results import Line


def test_a_comparison_in_one_line_a_tensor():
    """What, where, both values, how far apart, how much is allowed, and the case to see it again."""
    case = draw(4, 3, 5, 2, seed=0)
    loss, grads = loss_and_grads(*case.arguments.values())

    def shifted(grad, _):
        wrong = grad.copy()
        wrong[-1, 0] += 0.5
        return wrong

    comparison = compared(changed(W2=shifted), case, TwoLayers())
    right = comparison.autograd["W2"][1, 0].item()
    line = re.fullmatch(
        r"dL/dW2\[1, 0\]: yours (\S+), autograd (\S+), off by 0.5 \(allowed \d\.\d(e-\d\d)\)  "
        r"\[seed=0 batch=4 in=3 hidden=5 out=2 float64\]",
        str(comparison),
    )
    assert (float(line[1]), float(line[2])) == (float(grads.W2[1, 0] + 0.5), right)  # to the last digit
    single = draw(4, 3, 5, 2, seed=0, dtype="float32")
    in_single = str(compared(changed(B1=shift_first), single, TwoLayers()))
    yours = shift_first(loss_and_grads(*single.arguments.values())[1].B1, None)[0, 0]
    assert in_single.startswith(f"dL/dB1[0, 0]: yours {yours!s}, autograd ")  # a float32 has no seventeen digits
    assert in_single.endswith("float32]")
    both = compared(lambda *arrays: (0.0, [grads.W1 * 0, *loss_and_grads(*arrays)[1][1:]]), case, TwoLayers())
    first, second = str(both).splitlines()
    assert first.startswith(f"loss: yours 0.0, autograd {both.autograd['loss'].item()!r}, off by ")
    assert second.startswith("dL/dW1[")
    lines = str(compared(loss_and_grads, case, TwoLayers())).splitlines()
    assert [re.split("[:[]", line)[0] for line in lines] == [
        "loss", "dL/dW1", "dL/dB1", "dL/dW2", "dL/dB2"
    ]  # fmt: skip  # a match is told in full
    assert both.lines["loss"].yours == 0.0 != loss


def shift_first(grad, _):
    wrong = grad.copy()
    wrong[0, 0] += 1
    return wrong


def test_what_is_off_by_little_more_than_is_allowed_reads_as_more():
    line = Line("loss", FLOAT64, 1.0, error=1.171e-9, allowed=1.1702e-9, yours=1.0, autograd=1.0)
    assert str(line).endswith("off by 1.171e-09 (allowed 1.17e-09)")


def test_cases_that_prove_nothing_are_counted():
    """With hidden units driven to S1 = 1 the true gradient of W1 is 0, and a gradient of zeros would pass."""
    case = draw(5, 3, 4, 2, seed=0)
    case.arguments["B1"][:] = 1000.0
    comparison = compared(loss_and_grads, case, TwoLayers())
    assert comparison.passed
    vacuous = {name for name, tensor in comparison.lines.items() if tensor.vacuous}
    assert vacuous == {"W1", "B1"}
