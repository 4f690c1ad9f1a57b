"""A report as Markdown."""

from dataclasses import replace

from numpy_impl import loss_and_grads
from torch_ref import check
from torch_ref.command.main import main
from torch_ref.report.document import Document
from torch_ref.report.markdown import markdown
from torch_ref.results import Lockstep


def test_markdown_is_a_table_and_a_block(mine, capsys):
    assert main([mine, "--format", "markdown", "--cases", "20"]) == 1
    title, _, _, _, header, rule, *rows = capsys.readouterr().out.splitlines()
    assert title == "### gradgate: FAIL"
    assert rule == f"|{' --- |' * 8}"
    assert header.replace("\\|", "").count("|") == 9
    end = rows.index("")
    assert end == 6  # five tensors; the saturated cases, which do not count, in one
    assert all(row.replace("\\|", "").count("|") == 9 for row in rows[:end])
    assert rows[end : end + 3] == ["", f"**{mine}**", ""]
    assert "  - dL/dB1: 1/batch × autograd's" in "\n".join(rows)


def test_a_training_run_that_drifts_fails_the_whole():
    document = Document([check(loss_and_grads, cases=1)], Lockstep(9, loss=1.0, parameters=0.0, allowed=0.5), "XOR")
    drifted = markdown(document)
    assert drifted.startswith("### gradgate: FAIL\n")
    assert drifted.endswith(
        "XOR, 9 steps in NumPy and in torch: at most 1.0e+00 apart in the loss, 0.0e+00 in a parameter "
        "(allowed 5.0e-01)"
    )
    assert markdown(replace(document, lockstep=None)).startswith("### gradgate: pass\n")
