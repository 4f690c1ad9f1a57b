"""A report for GitHub Actions: annotations on the candidate's function."""

import re
from dataclasses import replace
from pathlib import Path

from numpy_impl import loss_and_grads
from torch_ref import check
from torch_ref.command.main import main
from torch_ref.report.document import Document
from torch_ref.report.github import github
from torch_ref.results import Lockstep, Place

NUMPY = "numpy_impl:loss_and_grads"


def test_a_candidate_that_fails_is_annotated_where_its_function_begins(mine, capsys, monkeypatch):
    monkeypatch.setenv("GITHUB_WORKSPACE", str(Path.cwd().parent))
    assert main([mine, NUMPY, "--cases", "20", "--format", "github"]) == 1
    shown = capsys.readouterr().out
    (annotation,) = re.findall("^::.*", shown, re.MULTILINE)
    place, title, message = re.fullmatch("::error (file=.*,line=.*),title=(.*)::(.*)", annotation).groups()
    assert place == f"file={Path.cwd().name}/mine.py,line=8"  # below its imports and its sigmoid
    assert title == "gradgate%3A mine.py%3Aloss_and_grads%2C float64"
    first, second, third = message.split("%0A")
    assert first.startswith("dL/dB1: 1/batch × autograd's (averaged over the batch")
    assert second.startswith("dL/dB1[0, 0]: yours ")
    assert third == f"To see it again: gradgate {mine} --cases 20"
    assert shown.endswith("\n\nFAIL\n")


def test_what_matches_is_not_annotated(capsys):
    assert main([NUMPY, "--cases", "5", "--format", "github"]) == 0
    assert capsys.readouterr().out.startswith("gradgate ")


def test_whatever_fails_a_check_is_annotated(monkeypatch):
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    good = check(loss_and_grads, cases=1, name="100%\n::error::")
    drifted = Document([good], Lockstep(9, loss=1.0, parameters=0.0, allowed=0.5), "XOR")
    assert github(drifted).startswith("::error title=gradgate::XOR, 9 steps in NumPy and in torch:%0Aat most 1.0e+00 ")
    interrupted = replace(good, interrupted=True, place=Place("/elsewhere/a,b.py", 3))
    assert github(Document([interrupted])).startswith(
        "::error file=/elsewhere/a%2Cb.py,line=3,title=gradgate%3A 100%25%0A%3A%3Aerror%3A%3A%2C float64::interrupted\n"
    )
