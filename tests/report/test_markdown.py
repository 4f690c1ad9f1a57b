"""A report as Markdown."""

import re
from dataclasses import replace

from numpy_impl import loss_and_grads
from torch_ref import check
from torch_ref.command.main import main
from torch_ref.report.document import Document
from torch_ref.report.markdown import markdown
from torch_ref.results import Lockstep

NUMPY = "numpy_impl:loss_and_grads"


def test_markdown_is_a_table_and_a_block(mine, capsys):
    assert main([mine, "--format", "markdown", "--cases", "20"]) == 1
    title, _, _, _, header, rule, *rows = capsys.readouterr().out.splitlines()
    assert title == "### gradgate: FAIL"
    assert header == "| off by, in float64 roundings | typical | largest | allowed | verdict |"
    assert rule == f"|{' --- |' * 5}"
    end = rows.index("")
    assert end == 1 + 5 + 1  # the heading, five tensors; the saturated cases, which do not count, in one
    assert all(row.count("|") == 6 for row in rows[:end])
    assert rows[end : end + 3] == ["", f"**{mine}**", ""]
    assert "  - dL/dB1: 1/batch × autograd's" in "\n".join(rows)


def test_several_candidates_have_a_column_each(mine, capsys):
    assert main([mine, NUMPY, "--cases", "20", "--format", "markdown"]) == 1
    header, _, title, *rows = capsys.readouterr().out.splitlines()[4:]
    of = "typical, largest, verdict"
    assert header == f"| off by, in float64 roundings | {mine}: {of} | {NUMPY}: {of} | autograd: itself |"
    assert title == "| 20 ordinary cases |  |  |  |"
    assert re.fullmatch(r"\| dL/dB1 \| [^|]*, \d+ differ \| [^|]*, match \| ± [\d.]+ \|", rows[2])


def test_a_training_run_that_drifts_fails_the_whole():
    document = Document([check(loss_and_grads, cases=1)], Lockstep(9, loss=1.0, parameters=0.0, allowed=0.5), "XOR")
    drifted = markdown(document)
    assert drifted.startswith("### gradgate: FAIL\n")
    assert drifted.endswith(
        "XOR, 9 steps in NumPy and in torch: at most 1.0e+00 apart in the loss, 0.0e+00 in a parameter "
        "(allowed 5.0e-01)"
    )
    assert markdown(replace(document, lockstep=None)).startswith("### gradgate: pass\n")
