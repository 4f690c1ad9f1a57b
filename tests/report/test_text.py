"""A report as text: why a candidate fails."""

import re

from numpy_impl import loss_and_grads
from torch_ref import check
from torch_ref.command.main import main

NUMPY = "numpy_impl:loss_and_grads"


def test_a_breach_is_shown_though_a_smaller_case_fails_without_one():
    def raises_beyond_2(inputs, *rest):
        if len(inputs) > 2:
            raise IndexError("beyond 2")
        loss, grads = loss_and_grads(inputs, *rest)
        return 2 * loss, grads

    text = str(check(raises_beyond_2, cases=30))
    assert "It breaks the contract too, for example\n  raised IndexError: beyond 2 at " in text


def test_several_candidates_stand_side_by_side(mine, capsys):
    assert main([mine, NUMPY, "--cases", "20", "--time"]) == 1
    shown = capsys.readouterr().out
    header, *lines = [line for line in shown.splitlines() if re.match(r"cases|ordinary|  .* time", line)]
    assert all("(does not count)" in line for line in shown.splitlines() if line.startswith("saturated"))
    assert re.split(r"  +", header) == ["cases", "tensor", mine, NUMPY, "autograd"]
    cells = {re.split(r"  +", line)[1]: re.split(r"  +", line) for line in lines}
    assert re.fullmatch(r"\d+ of 20 differ, .* u max\|g\|", cells["dL/dB1"][2])
    assert re.fullmatch(r"match, .* u max\|g\|", cells["dL/dB1"][3])
    assert re.fullmatch(r"± .* u max\|g\|", cells["dL/dB1"][4])
    assert len(cells["time"]) == 5
