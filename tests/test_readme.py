"""Every README: its commands print what it shows, and its code runs."""

import re
import shlex
import sys
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import pytest

import numpy_impl.__main__
from torch_ref.command.main import main

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page
    for page in (*ROOT.glob("*.md"), *ROOT.glob("[!.]*/**/*.md"), *ROOT.glob(".github/*.md"))
    if "node_modules" not in page.parts
)
# What takes minutes, or installs something: .ci/run has the rest of these.
NOT_HERE = r"pip install|-m venv|-m pytest|-m tests\.benchmark|mutmut|ruff|mypy|\.ci/run|^git |^export |^cd "


class Block(NamedTuple):
    """A command of a console block, and what is shown of what it prints."""

    page: Path
    command: str
    shown: str

    def __str__(self):
        return f"{self.page.relative_to(ROOT)}: {self.command}"


def console(page):
    """The commands of a page: each line after a $, with the lines that follow it."""
    for block in re.findall(r"```console\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            yield Block(page, command, shown)


BLOCKS = [block for page in PAGES for block in console(page)]
HERE = [block for block in BLOCKS if not re.search(NOT_HERE, block.command)]
QUICK_START = [block for block in BLOCKS if re.search("pip install .*bin/gradgate$", block.command)]


def code(page):
    """The Python blocks of a page: (a file's name, or "", and the code)."""
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        name = re.match(r"# ([\w/]+\.py)\n", block)
        yield (name[1] if name else ""), block


def layout(text):
    """Rounding differs between machines, and releases between days: words, tables and counts do not."""
    text = re.sub(r"\d+\.\d+\.\d+[^\s,]*|-?\d+\.\d+(e[-+]\d+)?\b", "#", text)
    # Another release of Hypothesis draws other cases: then a README made with this one has other counts.
    drawn_alike = any(f"hypothesis {version('hypothesis')}\n" in block.shown for block in BLOCKS)
    vary = "saturated" if drawn_alike else ""
    lines = [re.sub(r"\d+", "#", line) if vary in line else line for line in text.strip().splitlines()]
    return [line.split() for line in lines]


@pytest.fixture
def files(request, tmp_path, monkeypatch):
    """The files that the page of the test has in it, in a working directory of their own."""
    before = set(sys.modules)
    for name, text in code(request.param.page if isinstance(request.param, Block) else request.param):
        if name:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield request.param
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_there_is_a_readme_with_commands_and_code():
    assert ROOT / "README.md" in PAGES
    assert len(QUICK_START) == 1
    assert len(HERE) >= 3
    assert sum(bool(name) for name, _ in code(ROOT / "README.md")) >= 1


@pytest.mark.parametrize("block", QUICK_START, ids=str)
def test_the_quick_start_shows_what_gradgate_prints(block, gradgate):
    assert layout(block.shown) == layout(gradgate.stdout)


@pytest.mark.parametrize("files", HERE, ids=str, indirect=True)
def test_a_command_prints_what_is_shown(files, capsys):
    if files.command.endswith("-m numpy_impl"):
        numpy_impl.__main__.main()
        printed = capsys.readouterr().out
        eight = [re.sub(r"(\d\.\d{8})\d+", r"\1", text) for text in (files.shown, printed)]  # decimals
        assert eight[0] == eight[1]
        return
    program, *words = shlex.split(files.command)
    assert program.endswith("bin/gradgate"), "a command that no test runs"
    status = main(words)
    printed = capsys.readouterr().out
    assert status == (0 if printed.endswith("PASS\n") else 1)
    if files.shown:
        assert layout(files.shown) == layout(printed)


@pytest.mark.parametrize("files", PAGES, ids=lambda page: str(page.relative_to(ROOT)), indirect=True)
def test_the_code_of_a_page_runs_and_its_tests_pass(files):
    for name, text in code(files):
        namespace = {"__name__": name.removesuffix(".py")}
        exec(compile(text, name or str(files), "exec"), namespace)  # noqa: S102  # our own
        for function in [value for key, value in namespace.items() if key.startswith("test_")]:
            function()


def test_ci_runs_the_commands_that_the_readmes_give():
    """But for those on files of the user's, and those that take an hour."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    own = r"\.py:|nightly|benchmark|mutmut|\.ci/run|^git |^export |^cd "
    given = [block.command for block in BLOCKS if block.page.name == "README.md"]
    commands = [command for command in given if not re.search(own, command)]
    assert len(commands) >= 3
    for command in commands:
        assert command in script
