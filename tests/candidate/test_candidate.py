"""The contract, enforced: each breach has a plain message of its own, and none of them crashes the gate."""

import sys
import textwrap

import numpy as np
import pytest
import torch

from numpy_impl import loss_and_grads
from tests.comparing import draw
from torch_ref import Shapes, UnusableError, check
from torch_ref.candidate.calling import InProcess
from torch_ref.candidate.loading import load


def takes_four(inputs, targets, W1, W2): ...


def raises(*arrays):
    return np.linalg.inv(arrays[0])


def exits(*_):
    sys.exit(3)


def writes_to_W2(x, t, W1, B1, W2, B2):
    loss, grads = loss_and_grads(x, t, W1, B1, W2, B2)
    W2 -= 0.1 * grads.W2
    return loss, grads


def resizes_B1(x, t, W1, B1, W2, B2):
    answer = loss_and_grads(x, t, W1, B1, W2, B2)
    B1.shape = (1, B1.size)
    return answer


def random(*arrays):
    loss, grads = loss_and_grads(*arrays)
    return loss, [grads.W1 * np.random.default_rng().random(), *grads[1:]]


def gives(change, name="B1"):
    names = "W1", "B1", "W2", "B2"

    def candidate(x, t, *parameters):
        loss, grads = loss_and_grads(x, t, *parameters)
        answer = {"loss": loss, **grads._asdict()}
        answer[name] = change(answer[name], x)
        return answer["loss"], tuple(answer[name] for name in names)

    return candidate


class Accumulates:
    """Sums that start at zero once, when the object is made, and not in each call."""

    def __init__(self):
        self.sums = {}

    def __call__(self, *arrays):
        loss, grads = loss_and_grads(*arrays)
        key = arrays[0].tobytes()
        self.sums[key] = [s + g for s, g in zip(self.sums.get(key, [0] * 4), grads, strict=True)]
        return loss, self.sums[key]


BREACHES = {
    "arguments": (takes_four, r"takes \(inputs, targets, W1, W2\), expected \(inputs, targets, W1, B1, W2, B2\)"),
    "raises": (raises, r"raised LinAlgError: .* at test_candidate.py:\d+: return np.linalg.inv\(arrays\[0\]\)"),
    "exits": (exits, r"called sys.exit\(3\), expected it to return"),
    "None": (lambda *_: None, r"returned None, expected \(loss, \(dL_dW1, dL_dB1, dL_dW2, dL_dB2\)\)"),
    "an array": (lambda *a: a[0], r"returned a ndarray of shape \(\d+, \d\), expected \(loss, \("),
    "a string": (lambda *_: "ab", r"returned a str, expected \(loss, \("),
    "too few": (lambda *a: (0.5, loss_and_grads(*a)[1][:3]), r"returned a tuple of 3 as the gradients, expected"),
    "too many": (lambda *a: (0.5, (*loss_and_grads(*a)[1], 0)), r"returned a tuple of 5 as the gradients, expected"),
    "not nested": (lambda *a: (0.5, *loss_and_grads(*a)[1]), r"returned a tuple of 5, expected \(loss, \("),
    "a dict": (lambda *a: {"dW1": a[2]}, r"returned no gradient dL/dB1 among dW1, expected one called B1, dB1 or dL_d"),
    "two": (
        lambda *_: {"W1": 0, "dW1": 0, "dB1": 0, "dW2": 0, "dB2": 0},
        r"returned two gradients dL/dW1 \(W1 and dW1\) among W1, dW1, dB1, dW2, dB2, expected one called",
    ),
    "writes": (writes_to_W2, r"wrote to its argument W2, expected its arguments unchanged"),
    "resizes": (resizes_B1, r"wrote to its argument B1, expected its arguments unchanged"),
    "random": (random, r"gave another answer for W1 in a second call with the same arguments  \["),
    "accumulates": (Accumulates(), r"gave another answer for W1 in a second call .*: it adds to the sums of the first"),
    "(1, h)": (gives(lambda g, _: g.T), r"dL/dB1: shape \(1, \d\), expected \(\d, 1\): transposed"),
    "(h,)": (gives(lambda g, _: g[:, 0]), r"dL/dB1: shape \(\d,\), expected \(\d, 1\): the same elements in another"),
    "scalar": (gives(lambda g, _: g.sum()), r"dL/dB1: shape \(\), expected \(\d, 1\): summed over everything"),
    "unsummed": (gives(lambda g, x: g + 0 * x[:, 0]), r"dL/dB1: shape \(\d, \d\), .*: not summed over the batch"),
    "other axis": (gives(lambda g, x: x[:, 0] + 0 * g[0]), r"dL/dB1: shape \(\d,\), .*: summed over the other axis"),
    "float32": (gives(lambda g, _: g.astype("f")), r"dL/dB1: dtype float32, expected float64"),
    "complex": (gives(lambda g, _: g + 0j), r"dL/dB1: dtype complex128, expected float64"),
    "object": (gives(lambda g, _: g.astype(object)), r"dL/dB1: dtype object, expected float64"),
    "NaN": (gives(lambda g, _: g * np.nan), r"dL/dB1: nan at \[0, 0\], expected -?\d"),
    "infinity": (gives(lambda g, _: g + np.inf), r"dL/dB1: inf at \[0, 0\], expected -?\d"),
    "losses": (gives(lambda loss, x: loss + x[:, 0], "loss"), r"loss: shape \(\d,\), .*: one loss for each"),
    "loss (1, 1)": (gives(lambda loss, _: np.full((1, 1), loss), "loss"), r"loss: shape \(1, 1\), expected \(\)"),
}  # fmt: skip  # one a line


@pytest.mark.parametrize(("candidate", "message"), BREACHES.values(), ids=BREACHES)
def test_a_breach_has_a_plain_message(candidate, message):
    report = check(candidate, cases=8, shapes=Shapes(batch=(7, 9), hidden=(2, 6)))
    assert not report.passed
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(str(report))


def test_what_it_prints_is_kept_out_and_noted(capsys):
    def prints(*arrays):
        sys.stdout.write("epoch 1\n")
        return loss_and_grads(*arrays)

    report = check(prints, cases=8)
    assert report.passed
    assert report.notes == ["prints to standard output; it is left out here"]
    assert capsys.readouterr().out == ""
    assert check(loss_and_grads, cases=8).notes == []


class JaxLike:
    """An array of another library: it knows how to become NumPy's."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return np.array(self.array, dtype=dtype, copy=copy)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "convert",
    [
        lambda a: np.asarray(a).tolist(),
        torch.tensor,
        lambda a: torch.tensor(a, requires_grad=True),
        JaxLike,
    ],
    ids=["lists and floats", "tensors", "tensors that require grad", "__array__"],
)
def test_whatever_becomes_an_array_will_do(convert, dtype):
    def candidate(*arrays):
        loss, grads = loss_and_grads(*arrays)
        return [convert(loss), list(map(convert, grads))]

    report = check(candidate, cases=20, dtype=dtype)
    assert report.passed, str(report)


def test_ctrl_c_ends_in_order_with_what_is_known():
    calls = []

    def interrupted(*arrays):
        calls.append(1)
        if len(calls) == 40:
            raise KeyboardInterrupt
        return loss_and_grads(*arrays)

    report = check(interrupted, cases=100)
    assert report.interrupted
    assert 10 < report.ordinary.cases < 40
    assert not report.passed


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    before = set(sys.modules)

    def write(name, code):
        (tmp_path / name).write_text(textwrap.dedent(code), encoding="utf-8")
        return tmp_path / name

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_candidate_is_found_in_a_file_with_its_neighbours(write):
    write("beside_me.py", "from numpy_impl import loss_and_grads as right")
    path = write("a_candidate.py", "from beside_me import right\nclass Net:\n    gradients = staticmethod(right)")
    assert load(f"{path}:right") is loss_and_grads
    assert load("a_candidate.py:Net.gradients") is loss_and_grads
    assert load("a_candidate:right") is loss_and_grads


def test_two_files_of_one_name_are_two_candidates(write, tmp_path):
    (tmp_path / "other").mkdir()
    write("same.py", "def f(*_): return 1")
    write("other/same.py", "def f(*_): return 2")
    assert [load(name)() for name in ("same.py:f", "other/same.py:f")] == [1, 2]


UNUSABLE = {
    "no colon": ("mine.py", "mine.py: expected package.module:function or path/to/file.py:function"),
    "no file": ("nowhere.py:f", "nowhere.py: no such file"),
    "no module": ("nowhere.at_all:f", "nowhere.at_all: no such module"),
    "no function": ("good.py:g", "good.py:g: no such function; good.py has f, h"),
    "not a function": ("good.py:number", "good.py:number: a int, expected a function"),
    "syntax": ("syntax.py:f", r"syntax.py: fails on import: SyntaxError: .*syntax.py, line 1"),
    "raises": ("raises.py:f", "raises.py: fails on import: ZeroDivisionError: .* at raises.py:2: 1 / 0"),
    "exits": ("exits.py:f", r"exits.py: fails on import: SystemExit: 0 at exits.py:1"),
    "imports nothing": ("imports.py:f", "imports.py: fails on import: ModuleNotFoundError: No module named"),
}  # fmt: skip  # one a line


@pytest.mark.parametrize(("name", "message"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_candidate_that_cannot_be_used_is_told_in_one_line(write, name, message):
    write("good.py", "number = 3\ndef f(): ...\ndef h(): ...")
    write("syntax.py", "def f(:")
    write("raises.py", "print('loading')\n1 / 0")
    write("exits.py", "raise SystemExit(0)")
    write("imports.py", "import nonesuch")
    with pytest.raises(UnusableError, match=message) as caught:
        load(name)
    assert "\n" not in str(caught.value)


def test_the_users_arrays_are_copied():
    case = draw(4, 3, 2, 1, seed=0)
    seen = []
    InProcess(lambda *arrays: seen.extend(arrays) or loss_and_grads(*arrays), ("loss",), {})(case)
    for given, own in zip(seen, case.arguments.values(), strict=True):
        assert not np.shares_memory(given, own)
        assert given.flags.c_contiguous
        assert given.flags.writeable
