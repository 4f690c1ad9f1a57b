"""Every README: its commands print what it shows, its code runs, and what it points at is there."""

import json
import re
import shlex
import sys
from importlib.metadata import version
from itertools import dropwhile, islice
from pathlib import Path
from textwrap import dedent
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
CHANGELOG = ROOT / ".github" / "CHANGELOG.md"  # it may name files that are gone
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
        for part in re.split(r"^\$ ", dedent(block), flags=re.MULTILINE)[1:]:
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


CUT = ["..."]  # a line that stands for lines left out


def assert_shows(shown, printed):
    """That a page shows what is printed, but for the lines that it leaves out."""
    shown, left = layout(shown), iter(layout(printed))
    found = []
    for line, following in zip(shown, [*shown[1:], None], strict=True):
        some = list(islice(left, 1))
        if line == CUT and some:
            some, left = [CUT], dropwhile(following.__ne__, left)
        found += some
    assert shown == found + list(left)


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


def test_all_that_a_page_shows_of_an_output_is_compared():
    assert [str(block) for block in BLOCKS if block.shown.strip() and block not in HERE + QUICK_START] == []


def test_the_first_page_is_read_in_minutes():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 200


def test_lines_are_left_out_where_three_dots_are_and_nowhere_else():
    assert_shows("a\n...\nd\n", "a\nb\nc\nd\n")
    for shown in "a\n...\nc\n", "a\n...\ne\nd\n", "a\nd\n", "...\na\n", "a\nb\nc\nd\n...\n":
        with pytest.raises(AssertionError):
            assert_shows(shown, "a\nb\nc\nd\n")


@pytest.mark.parametrize("block", QUICK_START, ids=str)
def test_the_quick_start_shows_what_gradgate_prints(block, gradgate):
    assert_shows(block.shown, gradgate.stdout)


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
        assert_shows(files.shown, printed)


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


def outside_code(page):
    """The text of a page without its blocks of code."""
    return re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def headings(page):
    """What GitHub calls the headings of a page, in a link to one."""
    found = re.findall(r"^#+ (.*)$", outside_code(page), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", outside_code(page)):
        path, _, heading = target.partition("#")
        if "://" not in target:
            other = (page.parent / path).resolve() if path else page
            assert other.exists(), target
            assert not heading or heading in headings(other), target


def test_the_first_page_leads_to_all_others():
    linked = re.findall(r"\]\(([^)\s]+\.md)\)", outside_code(ROOT / "README.md"))
    assert {ROOT / path for path in linked} >= set(PAGES) - {ROOT / "README.md", CHANGELOG}


@pytest.mark.parametrize("page", sorted({*PAGES} - {CHANGELOG}), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_and_folder_that_a_page_names_is_there(page):
    """Seen from the page or from the top; but for the reader's own, which a page has in a block."""
    own = {name for other in PAGES for name, _ in code(other)}
    named = re.findall(r"`((?:[\w.-]+/)*[\w-]+\.(?:py|md|svg|toml|txt|yml)|(?:[\w.-]+/)+)`", outside_code(page))
    for name in set(named) - own:
        assert any((folder / name).exists() for folder in (page.parent, ROOT)), name


def keys(value):
    """All keys of a JSON document, but for those that are titles."""
    if isinstance(value, dict):
        yield from (key for key in value if " " not in key)
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from keys(item)


def test_the_tables_of_the_json_document_have_its_keys_and_no_others(mine, capsys):
    printed = set()
    for words in [mine], []:  # of the second, the training run
        main([*words, "--cases", "8", "--format", "json"])
        printed |= set(keys(json.loads(capsys.readouterr().out)))
    page = (ROOT / "torch_ref" / "README.md").read_text(encoding="utf-8")
    (section,) = re.findall(r"^## The JSON document$(.*?)^## ", page, re.DOTALL | re.MULTILINE)
    rows = re.findall(r"^\| `(.*?)` \|", section, re.MULTILINE)
    assert {key for row in rows for key in row.split("`, `")} <= printed
    assert printed <= set(re.findall(r"`(\w+)`", section))
