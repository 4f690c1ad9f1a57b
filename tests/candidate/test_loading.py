"""A candidate found by its name, or told in one line why not."""

import sys
import textwrap

import pytest

from numpy_impl import loss_and_grads
from torch_ref import UnusableError
from torch_ref.candidate.loading import load


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


def test_a_file_stands_for_the_only_thing_in_it_that_can_be_a_candidate(write):
    rest = """
        def draw(rng, batch): ...
        def make(): ...
        def test_it(x): ...
        class Layer:
            def forward(self, x): ...
            def backward(self, upstream): ...
        """
    for i, one in enumerate(
        [
            "def f(upstream, x): ...",
            "def f_forward(x): ...\n        def f_backward(upstream, x): ...",
            "import torch\n        class f(torch.autograd.Function): ...",
            "class f:\n            forward = backward = staticmethod(len)",
            "def f(x, t, a, b, c, d): ...\n        def g(x): ...",
        ]
    ):
        write(f"only_{i}.py", f"{rest}{one}")
        found = load(f"only_{i}.py")
        names = [part.__name__ for part in (found if isinstance(found, tuple) else (found,))]
        assert names in (["f"], ["f_forward", "f_backward"])
        assert load(f"only_{i}.py", makes=True).__name__ == "make"


UNUSABLE = {
    "no colon": ("mine", "mine: expected package.module:function or path/to/file.py:function"),
    "no file": ("nowhere.py:f", "nowhere.py: no such file"),
    "no module": ("nowhere.at_all:f", "nowhere.at_all: no such module"),
    "no function": ("good.py:g", "good.py:g: no such function; good.py has f, h"),
    "several": ("several.py", "several.py: which of Op, a_forward,a_backward, f; expected several.py:Op"),
    "nothing": ("empty.py", "empty.py: has no function of its own to check; name what is meant: empty.py:"),
    "not a function": ("good.py:number", "good.py:number: a int, expected a function"),
    "syntax": ("syntax.py:f", r"syntax.py: fails on import: SyntaxError: .*syntax.py, line 1"),
    "raises": ("raises.py:f", "raises.py: fails on import: ZeroDivisionError: .* at raises.py:2: 1 / 0"),
    "exits": ("exits.py:f", r"exits.py: fails on import: SystemExit: 0 at exits.py:1"),
    "imports nothing": ("imports.py:f", "imports.py: fails on import: ModuleNotFoundError: No module named"),
}  # fmt: skip  # one a line


@pytest.mark.parametrize(("name", "message"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_candidate_that_cannot_be_used_is_told_in_one_line(write, name, message):
    write("good.py", "number = 3\ndef f(): ...\ndef h(): ...")
    pair = "def a_forward(x): ...\ndef a_backward(u, x): ..."
    write(
        "several.py", f"import torch\n{pair}\nclass Op(torch.autograd.Function): ...\ndef f(u, x): ...\ndef make(): ..."
    )
    write("empty.py", "def make(): ...")
    write("syntax.py", "def f(:")
    write("raises.py", "print('loading')\n1 / 0")
    write("exits.py", "raise SystemExit(0)")
    write("imports.py", "import nonesuch")
    with pytest.raises(UnusableError, match=message) as caught:
        load(name)
    assert "\n" not in str(caught.value)
