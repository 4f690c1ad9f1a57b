"""A report as text: the table, and why a candidate fails."""

import re
from pathlib import Path

from numpy_impl import forward, loss_and_grads
from tests.comparing import draw
from tests.correct import with_the_shortcut
from torch_ref import check
from torch_ref.command.main import main
from torch_ref.outcome import Outcome
from torch_ref.precision import FLOAT64
from torch_ref.report.columns import in_columns
from torch_ref.report.document import Document
from torch_ref.report.table import tables
from torch_ref.results import Comparison, Description, Line

NUMPY = "numpy_impl:loss_and_grads"


def test_a_breach_is_shown_though_a_smaller_case_fails_without_one():
    def raises_beyond_2(inputs, *rest):
        if len(inputs) > 2:
            raise IndexError("beyond 2")
        loss, grads = loss_and_grads(inputs, *rest)
        return 2 * loss, grads

    text = str(check(raises_beyond_2, cases=30))
    assert "It breaks the contract too, for example\n  raised IndexError: beyond 2 at " in text


def test_three_candidates_stand_side_by_side_in_120_columns(mine, capsys):
    Path("other.py").write_text("from numpy_impl import loss_and_grads", encoding="utf-8")
    assert main([mine, NUMPY, "other.py:loss_and_grads", "--cases", "20", "--time"]) == 1
    shown = capsys.readouterr().out
    table = [line for line in shown.split("\n\n")[1].splitlines() if not line.startswith("numpy_impl")]
    assert max(map(len, table)) <= 120
    names, head, title, *rows = ([*filter(None, re.split(r"  +", line))] for line in table)
    assert names == ["off by, in float64", mine, NUMPY, "other.py:loss_and_grads", "autograd"]
    assert head == ["roundings", *["typical", "largest", "verdict"] * 3, "itself"]
    assert title == ["20 ordinary cases"]
    cells = {row[0]: row[1:] for row in rows}
    line = r"[\d.e+]+ [\d.e+]+ \d+ differ [\d.]+ [\d.]+ match [\d.]+ [\d.]+ match ± [\d.]+"
    assert re.fullmatch(line, " ".join(cells["dL/dB1"]))
    assert re.fullmatch(r"\d fail \(not counted\)", cells["5 saturated"][0])
    assert cells["5 saturated"][1:] == ["match (not counted)"] * 2
    assert cells["1 beyond the ranges"] == ["match"] * 2
    assert sum(row[0].startswith("batch=") for row in rows) == 3
    assert sum(len(row) == 4 and all(re.fullmatch(r"[\d,.]+ µs", cell) for cell in row) for row in rows) == 3


def test_a_table_of_one_candidate_fits_80_columns(mine, capsys):
    assert main([mine, "--cases", "20", "--time"]) == 1
    table = capsys.readouterr().out.split("\n\n")[1].splitlines()
    assert max(map(len, table)) <= 80
    assert re.split(r"  +", table[0]) == ["off by, in float64 roundings", "typical", "largest", "allowed", "verdict"]
    assert table[1] == "20 ordinary cases"
    assert re.fullmatch(r"  loss  .* match", table[2])
    assert re.fullmatch(r"  dL/dB1 .* [\d.e+]+ +\d+ of 20 differ", table[4])
    assert re.fullmatch(r"5 saturated +\d of 5 differ \(not counted\)", table[7])


def test_torchs_clamps_are_the_reason_only_where_all_else_is_right_and_the_loss_has_them():
    def of(candidate, **options):
        return re.findall(r"^\d+ saturated +(.*)$", str(check(candidate, cases=20, **options)), re.MULTILINE)

    def of_squares(x, t, W1, B1, W2, B2):
        """Right, but for the gradient of B2 where a sigmoid is saturated."""
        _, S1, G2, S2 = forward(x, W1, B1, W2, B2)
        dG2 = 2 * (S2 - t.T) * S2 * (1 - S2) / t.size
        dG1 = W2.T @ dG2 * S1 * (1 - S1)
        dB2 = dG2.sum(1, keepdims=True) + (abs(G2).max() > 28)
        return ((S2 - t.T) ** 2).mean(), (dG1 @ x, dG1.sum(1, keepdims=True), dG2 @ S1.T, dB2)

    assert of(with_the_shortcut) == ["5 of 5 differ where torch clamps (not counted)"]
    assert of(of_squares, loss="mse") == ["5 of 5 differ (not counted)"]


def test_what_is_too_long_for_the_table_does_not_widen_it():
    """A long name has a line of its own, what came instead of numbers is cut, and a zero has no numbers."""
    long = "dL/dblock.0.attention.in_projection.weight"
    lines = [
        Line(long, FLOAT64, 1.0, error=3 * 2**-53, allowed=8 * 2**-53),
        Line("dL/dtext", FLOAT64, 1.0, problem=f"dtype <U{10**40}, expected float64"),
        Line("dL/dnone", FLOAT64, 1.0, problem="not an array: None"),
        Line("dL/dbias", FLOAT64, 1e-17, error=1e-17, allowed=1e-16, noise=1e-17),
    ]
    comparison = Comparison(draw(3, 2, 4, 1, seed=0), {}, lines={line.label: line for line in lines})
    outcome = Outcome("mine", Description("a net", "net", None), {"dtype": "float64", "strict": False})
    for _ in range(3):
        outcome.ordinary.add(comparison)
    alone, beside = ("\n".join(map(in_columns, tables(Document([outcome] * count)))) for count in (1, 3))
    assert f"\n  {long}\n{' ' * 30}3.0      3.0      8.0      match\n" in alone
    assert re.search(rf"\n  {long}\n +3.0      3.0      match", beside)
    assert re.search(r"dL/dtext +3 of 3 differ: dtype <U10+…\n", alone)
    assert re.search(r"dL/dnone +3 of 3 differ: not an array: None\n", alone)
    assert re.search(r"dL/dnone +(3 differ: None\s+){3}", beside)
    assert re.search(r"dL/dtext +(3 differ: dtype <U10+…\s+){3}", beside)
    assert re.search(r"dL/dbias {47}zero", alone)  # in the column of the verdicts
    assert max(map(len, alone.splitlines())) <= 80
    assert max(map(len, beside.splitlines())) <= 120
