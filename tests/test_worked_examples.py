"""Real layers with a backward pass by hand: right as they are, and red where a line of them is broken."""

from typing import NamedTuple

import pytest

from tests.planted import rewritten
from tests.worked_examples import dot_in_c
from torch_ref import check

DTYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])


@pytest.fixture
def named(dtype, request):
    """Whether the mistake is looked for: that takes most of the time, and is the same search in float32."""
    if dtype == "float32":
        request.getfixturevalue("verdicts_alone")
    return dtype == "float64"


PLANTED = {
    "softmax_regression": ("    dL_dZ /= len(X)\n", "", {"weight", "bias"}, "batch × autograd's (not divided by the b"),
    "relu_mlp": ("dL_dG2 @ W2 * (G1 > 0)", "dL_dG2 @ W2", {"0.weight", "0.bias"}, "derivative of the ReLU is missing"),
    "convnet": ("dL_dC, patches)", "dL_dC, patches)[..., ::-1, ::-1]", {"0.weight"}, "backwards along axis 2 and 3"),
    "layernorm_gelu": (" - N * (dL_dN * N).mean(axis=1, keepdims=True)", "", {"0.weight", "0.bias"}, "the variance"),
    "attention": (
        "    dL_dscores /= X.dtype.type(math.sqrt(HEAD))\n", "", {"query.weight", "key.weight"}, "√3 × autograd's"
    ),
    "rnn": (
        "dL_dG @ U ", "dL_dG @ U.T ", {f"cell.{p}_{q}" for p in ("weight", "bias") for q in ("ih", "hh")}, "transposed"
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


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", PLANTED)
def test_it_is_green_in_half_precision_too(name, dtype):
    """NumPy's float16 throughout, its sums and what a ReLU or a pool makes of them included."""
    module = rewritten(f"worked_examples/{name}")
    report = check(module.loss_and_grads, reference=module.make_reference(), cases=40, seed=1, dtype=dtype)
    assert report.passed, str(report)


@DTYPES
@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_mistake_in_it_is_red_where_it_is(name, dtype, named):
    right, wrong, tensors, text = PLANTED[name]
    module = rewritten(f"worked_examples/{name}", right, wrong)
    report = check(module.loss_and_grads, reference=module.make_reference(), cases=20, dtype=dtype)
    assert {tensor for tensor, tally in report.ordinary.tallies.items() if tally.failed} == tensors
    assert not named or text in str(report)


def layer(module, name):
    """The arguments of a check of one layer of the library."""
    function, reference = module.LAYERS[name]
    return {"candidate": function, "reference": reference}


AS_PEOPLE_WRITE_IT = {
    "layer_library, linear": lambda module: layer(module, "linear"),
    "layer_library, relu": lambda module: layer(module, "relu"),
    "layer_library, layer_norm": lambda module: layer(module, "layer_norm"),
    "layer_library, softmax_cross_entropy": lambda module: layer(module, "softmax_cross_entropy"),
    "rms_norm_function": lambda module: {"candidate": module.RMSNorm, "reference": module.make_reference()},
    "dot_in_c": lambda module: {"candidate": module.linear_gelu, "reference": module.make_reference()},
    "student_class": lambda module: {"candidate": module.gradients},
    "student_in_place": lambda module: {"candidate": module.step, "step": True, "activation": "tanh"},
}
NEEDS_A_COMPILER = pytest.mark.skipif(dot_in_c.COMPILER is None, reason="there is no C compiler")


class Planted(NamedTuple):
    """A line of a file, what it is replaced by, the names that are red then, and what the report says."""

    right: str
    wrong: str
    red: set[str]
    text: str


LAYER_1 = {"W1", "B1"}
OF_PEOPLE = {
    "layer_library, linear": {
        "a sign": Planted("return upstream @", "return -upstream @", {"x"}, "the sign is the wrong way round"),
    },
    "layer_library, relu": {
        "no slope": Planted("upstream * self.positive", "upstream", {"x"}, "the derivative of the ReLU is missing"),
    },
    "layer_library, layer_norm": {
        "the scale is a constant": Planted(" - along_scale)", ")", {"x"}, "the term that comes from the variance is"),
    },
    "layer_library, softmax_cross_entropy": {
        "no upstream": Planted("return upstream * dx", "return dx", {"x"}, "is; not multiplied by upstream."),
    },
    "rms_norm_function": {
        "a mean over batch and time": Planted(".sum(dim=(0, 1))", ".mean(dim=(0, 1))", {"weight"}, "1/(3 batch) ×"),
        "the scale is a constant": Planted(" - along_scale)", ")", {"x"}, "is cut: zero, in the backward pass"),
        "no gradient to the gain": Planted("return dx, dgain", "return dx, None", {"weight"}, "not an array: None"),
    },
    "dot_in_c": {
        "a bias of one sample": Planted("db[j] += dz", "db[j] = dz", {"b"}, "only the last sample of the batch counts"),
        "a sign": Planted("dW[j * inputs + k] +=", "dW[j * inputs + k] -=", {"W"}, "-1 × autograd's"),
        "the slope of z³": Planted(
            "(1 + 3 * D * z * z)", "(1 + D * z * z)", {"x", "W", "b"}, "0.044715 stands in place of 0.134145"
        ),
    },
    "student_class": {
        "the slope of what is activated": Planted(
            "self.a1 * (1 - self.a1)",
            "self.sigmoid(self.a1) * (1 - self.sigmoid(self.a1))",
            LAYER_1,
            "of S1, already activated",
        ),
        "a mean over the batch": Planted("dz1.sum(axis=0)", "dz1.mean(axis=0)", {"B1"}, "1/batch × autograd's"),
        "not over the batch": Planted(" / y.size", "", {*LAYER_1, "W2", "B2"}, "every gradient: batch × autograd's"),
    },
    "student_in_place": {
        "uphill": Planted('["W2"] -=', '["W2"] +=', {"W2"}, "-1 × autograd's (the sign is the wrong way round)"),
        "the slope of a sigmoid": Planted("(1 - A1**2)", "A1 * (1 - A1)", LAYER_1, "computed as y (1 - y)"),
        "a new array": Planted('["b1"] -=', '["b1"] = parameters["b1"] -', {"B1"}, "dL/dB1: 0 × autograd's"),
    },
}


def marked(name, *more):
    return pytest.param(
        name, *more, marks=[NEEDS_A_COMPILER] if name == "dot_in_c" else [], id=", ".join((name, *more))
    )


def checked(name, planted, dtype, cases):
    file = name.partition(",")[0]
    module = rewritten(f"worked_examples/{file}", planted.right, planted.wrong)
    return check(**AS_PEOPLE_WRITE_IT[name](module), dtype=dtype, cases=cases, seed=1)


@DTYPES
@pytest.mark.parametrize("name", list(map(marked, AS_PEOPLE_WRITE_IT)))
def test_code_as_people_write_it_is_green(name, dtype):
    report = checked(name, Planted("", "", set(), ""), dtype, cases=40)
    assert report.passed, str(report)
    assert report.ordinary.cases == 40


@DTYPES
@pytest.mark.parametrize(
    ("name", "mistake"), [marked(name, mistake) for name, mistakes in OF_PEOPLE.items() for mistake in mistakes]
)
def test_a_mistake_in_it_is_red_where_it_is(name, mistake, dtype, named):
    planted = OF_PEOPLE[name][mistake]
    report = checked(name, planted, dtype, cases=8)
    assert {tensor for tensor, tally in report.ordinary.tallies.items() if tally.failed} == planted.red
    assert not named or planted.text in str(report)


IN_BFLOAT16 = {
    "no 1/√width": Planted(" - along_sum) / math.sqrt(WIDTH)", " - along_sum)", {"Q", "K"}, "√8 × autograd's"),
    "a softmax without its sum": Planted("(dP - along_sum)", "dP", {"Q", "K"}, "the term y · Σ (y · g) is missing"),
    "not transposed": Planted("dscores.mT @ q", "dscores @ q", {"K"}, "the gradient that comes in is not transposed"),
}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_attention_in_half_precision_is_green(dtype):
    module = rewritten("worked_examples/causal_attention")
    report = check(module.CausalAttention, reference=module.make_reference(), dtype=dtype, cases=20)
    assert report.passed, str(report)


@pytest.mark.parametrize("mistake", IN_BFLOAT16)
def test_a_mistake_in_it_is_red_and_named_as_float32_shows_it(mistake):
    planted = IN_BFLOAT16[mistake]
    module = rewritten("worked_examples/causal_attention", planted.right, planted.wrong)
    report = check(module.CausalAttention, reference=module.make_reference(), dtype="bfloat16", cases=6)
    assert {tensor for tensor, tally in report.ordinary.tallies.items() if tally.failed} == planted.red
    assert "as float32 shows it" in str(report)
    assert planted.text in str(report)


def test_a_mistake_in_one_layer_leaves_the_others_green():
    """By the tests that the file itself has."""
    module = rewritten("worked_examples/layer_library", " - along_scale)", ")")
    red = []
    for name in module.LAYERS:
        try:
            module.test_layer(name, "float64")
        except AssertionError as error:
            red.append((name, "∂/∂x" in str(error)))
    assert red == [("layer_norm", True)]
