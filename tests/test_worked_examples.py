"""Real layers with a backward pass by hand: right as they are, and red where a line of them is broken."""

import pytest

from tests.planted import rewritten
from torch_ref import check

DTYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])


PLANTED = {
    "softmax_regression": ("    dL_dZ /= len(X)\n", "", {"weight", "bias"}, "batch × autograd's (not divided by the b"),
    "relu_mlp": ("dL_dG2 @ W2 * (G1 > 0)", "dL_dG2 @ W2", {"0.weight", "0.bias"}, "right: loss, dL/d2.weight, dL/d2.b"),
    "convnet": ("dL_dC, patches)", "dL_dC, patches)[..., ::-1, ::-1]", {"0.weight"}, "backwards along axis 2 and 3"),
    "layernorm_gelu": (" - N * (dL_dN * N).mean(axis=1, keepdims=True)", "", {"0.weight", "0.bias"}, "wrong: dL/d0.w"),
    "attention": (
        "    dL_dscores /= X.dtype.type(math.sqrt(HEAD))\n", "", {"query.weight", "key.weight"}, "√3 × autograd's"
    ),
    "rnn": (
        "dL_dG @ U ", "dL_dG @ U.T ", {f"cell.{p}_{q}" for p in ("weight", "bias") for q in ("ih", "hh")}, "right: loss"
    ),
}  # fmt: skip  # one a line


@DTYPES
@pytest.mark.parametrize("name", PLANTED)
def test_a_correct_backward_pass_of_a_real_layer_is_green(name, dtype):
    module = rewritten(f"worked_examples/{name}")
    report = check(module.loss_and_grads, reference=module.make_reference(), cases=40, seed=1, dtype=dtype)
    assert report.passed, str(report)
    assert report.ordinary.cases == 40
    assert report.saturated.cases == 0
    for tally in report.ordinary.tallies.values():
        assert tally.vacuous <= 4  # all units of a ReLU may be 0


@DTYPES
@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_mistake_in_it_is_red_where_it_is(name, dtype):
    right, wrong, tensors, text = PLANTED[name]
    module = rewritten(f"worked_examples/{name}", right, wrong)
    report = check(module.loss_and_grads, reference=module.make_reference(), cases=20, dtype=dtype)
    assert {tensor for tensor, tally in report.ordinary.tallies.items() if tally.failed} == tensors
    assert text in str(report)
