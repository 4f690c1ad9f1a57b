"""A report as Markdown."""

from torch_ref.command.main import main


def test_markdown_is_a_table_and_a_block(mine, capsys):
    assert main([mine, "--format", "markdown", "--cases", "20"]) == 1
    title, _, _, _, header, rule, *rows = capsys.readouterr().out.splitlines()
    assert title == "### gradgate: FAIL"
    assert rule == f"|{' --- |' * 8}"
    assert header.replace("\\|", "").count("|") == 9
    assert all(row.replace("\\|", "").count("|") == 9 for row in rows[:10])
    assert rows[10:13] == ["", f"**{mine}**", ""]
    assert "  - dL/dB1: 1/batch × autograd's" in "\n".join(rows)
