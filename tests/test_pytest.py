"""In a user's pytest: an assertion reads well, and the parity tests take another candidate."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARITY = str(ROOT / "tests" / "test_parity.py")
OURS = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), "-p", "no:cacheprovider", "-q", PARITY]


@pytest.mark.usefixtures("mine")
def test_an_assertion_shows_the_report_once_and_nothing_of_hypothesis(tmp_path, pytester, monkeypatch):
    for name in ("CI", "BUILD_NUMBER"):  # there, pytest's own summary says every message a second time
        monkeypatch.delenv(name, raising=False)
    pytester.makepyfile(
        mine=(tmp_path / "mine.py").read_text(encoding="utf-8"),
        test_mine="""
            from torch_ref import assert_matches_autograd
            from mine import loss_and_grads
            def test_it():
                assert_matches_autograd(loss_and_grads)
        """,
    )
    run = pytester.runpytest_inprocess("-q", "-p", "no:cacheprovider", "test_mine.py")
    assert run.ret == 1
    printed = run.stdout.str()
    assert printed.count("The smallest case that fails") == 1
    assert printed.count("1/batch × autograd's") == 1
    assert not re.search("hypothesis/|Falsifying|judging.py", printed)


def test_parity_tests_run_on_another_candidate(mine, tmp_path, pytester):
    chosen = f"--candidate={tmp_path / mine}", "-k", "test_matches_autograd and float64 and mean"
    run = pytester.runpytest_inprocess(*OURS, *chosen, "--no-header", "-rA")
    assert run.ret == 1
    found = re.findall(
        r"^(PASSED|FAILED) .*test_matches_autograd\[(\w+)-ordinary-float64-mean\]", run.stdout.str(), re.MULTILINE
    )
    verdicts = {tensor: verdict for verdict, tensor in found}
    assert verdicts == {"loss": "PASSED", "W1": "PASSED", "B1": "FAILED", "W2": "PASSED", "B2": "PASSED"}


def test_a_candidate_that_cannot_be_used_is_a_usage_error_of_pytest(pytester):
    run = pytester.runpytest_inprocess(*OURS, "--candidate=nowhere.py:f")
    assert run.ret == pytest.ExitCode.USAGE_ERROR
    assert "nowhere.py: no such file" in run.stderr.str()
