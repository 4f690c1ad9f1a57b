"""A report as JSON: the documented interface."""

import json
from dataclasses import replace

import pytest

from numpy_impl import loss_and_grads
from torch_ref import check
from torch_ref.command.main import main
from torch_ref.report.document import Document
from torch_ref.report.json_document import as_json
from torch_ref.results import Lockstep

NUMPY = "numpy_impl:loss_and_grads"


def test_json_is_the_documented_interface(mine, capsys):
    assert main([mine, NUMPY, "--format", "json", "--cases", "20", "--time"]) == 1
    document = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert list(document) == ["reference", "settings", "candidates", "verdict", "interrupted", "command", "lockstep"]
    assert (document["verdict"], document["interrupted"], document["lockstep"]) == ("fail", False, None)
    assert set(document["reference"]) == {
        "gradgate", "python", "numpy", "torch", "hypothesis", "model", "loss", "seconds_per_call"
    }  # fmt: skip
    assert document["reference"]["seconds_per_call"] > 0
    assert set(document["settings"]) == {
        "cases", "seed", "dtype", "activation", "loss", "reduction", "batch", "inputs", "hidden", "outputs", "strict",
        "layout",
    }  # fmt: skip
    bad, good = document["candidates"]
    for candidate in bad, good:
        assert set(candidate) == {
            "name", "dtype", "verdict", "interrupted", "ordinary", "saturated", "failure", "diagnosis", "notes",
            "seconds_per_call", "asides", "times", "place", "accuracy", "grids",
            "diagnosed_in",
        }  # fmt: skip
        for kind, cases in ("ordinary", 20), ("saturated", 5):
            assert set(candidate[kind]) == {"cases", "failed", "vacuous", "tensors"}
            assert candidate[kind]["cases"] == cases
            assert list(candidate[kind]["tensors"]) == ["loss", "W1", "B1", "W2", "B2"]
            for tensor in candidate[kind]["tensors"].values():
                assert set(tensor) == {
                    "verdict", "failed", "worst_error", "allowed", "worst_relative", "problem", "status", "roundings"
                }  # fmt: skip
                assert {len(tensor["roundings"][key]) for key in ("errors", "limits")} == {cases}
    assert (bad["verdict"], good["verdict"]) == ("fail", "pass")
    assert bad["ordinary"]["tensors"]["B1"]["verdict"] == "fail"
    assert bad["saturated"]["tensors"]["loss"]["worst_error"] is None  # it is infinite or NaN there
    assert good["failure"] is None
    assert good["diagnosis"] == []
    assert bad["failure"]["case"] == {"seed": 0, "batch": 2, "in": 1, "hidden": 1, "out": 1, "dtype": "float64"}
    assert bad["failure"]["reproduce"] == f"gradgate {mine} --cases 20"
    assert "dL/dB1[0, 0]: yours" in bad["failure"]["message"]
    (finding,) = bad["diagnosis"]
    assert (finding["kind"], finding["name"], finding["tensors"]) == ("factor", "1/batch", ["B1"])


def test_a_training_run_that_drifts_fails_the_whole():
    """Though the candidate passes: the exit status is 1 then, and no rendering may say otherwise."""
    document = Document([check(loss_and_grads, cases=1)], Lockstep(9, loss=1.0, parameters=0.0, allowed=0.5), "XOR")
    found = json.loads(as_json(document))
    assert [candidate["verdict"] for candidate in found["candidates"]] == ["pass"]
    assert found["verdict"] == "fail"
    assert found["lockstep"] == {
        "verdict": "fail", "title": "XOR", "steps": 9, "loss": 1.0, "parameters": 0.0, "allowed": 0.5
    }  # fmt: skip
    assert json.loads(as_json(replace(document, lockstep=None)))["verdict"] == "pass"
