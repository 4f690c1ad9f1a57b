"""The page: its numbers are those of the JSON, and it is one file that can be read by all."""

import io
import json
import re
import sys
from contextlib import redirect_stdout
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from statistics import median

import pytest

from torch_ref import TwoLayers
from torch_ref.command.main import main

pytest.importorskip("matplotlib")
from torch_ref.report.drawing import ALLOWED, RIGHT, WRONG  # imports it

HEAD = "typical", "largest", "allowed", "verdict"
LABELS = "loss", "dL/dW1", "dL/dB1", "dL/dW2", "dL/dB2"
NUMPY = "numpy_impl:loss_and_grads"
OTHER = """
import os
from numpy_impl import loss_and_grads

def other(inputs, *rest):
    if inputs.dtype == "float32":
        os._exit(0)
    loss, (dW1, dB1, dW2, dB2) = loss_and_grads(inputs, *rest)
    return None, (dW1, dB1.T, dW2, 2 * dB2)
"""


class Page(HTMLParser):
    """What a page has: its figures by heading and caption, all its text, its tags, and the names of pictures."""

    def __init__(self, text):
        super().__init__()
        self.heading = self.text = ""
        self.inside, self.tags, self.figures = [], [], {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "wbr"):
            self.inside.append(tag)
        if tag == "h2":
            self.heading = ""
        if tag == "figure":
            self.caption, self.rows, self.picture = "", [], ""
        if tag == "tr" and "figure" in self.inside:
            self.rows.append([])
        if tag in ("td", "th") and "figure" in self.inside:
            self.rows[-1].append("")
        if tag == "svg":
            self.picture = dict(attributes)["aria-label"]

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.inside.pop() == tag
        if tag == "figure":
            self.figures[self.heading, self.caption] = self.picture, self.rows

    def handle_data(self, data):
        self.text += data
        if self.inside[-1:] == ["h2"]:
            self.heading += data
        if self.inside[-1:] == ["figcaption"]:
            self.caption += data
        if self.inside[-1:] in (["td"], ["th"]) and "figure" in self.inside:
            self.rows[-1][-1] += data


def short(units):
    """As the tables have it."""
    return f"{units:.1f}" if units < 1e4 else f"{units:.1e}"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A page of two candidates, and the JSON document of the same run."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as out:
        patch.chdir(tmp_path_factory.mktemp("page"))
        Path("other.py").write_text(OTHER, encoding="utf-8")
        assert main(["other.py:other", NUMPY, "--cases", "30", "--format", "json", "--html", "a page.html"]) == 1
        text = Path("a page.html").read_text(encoding="utf-8")
    return text, Page(text), json.loads(out.getvalue())


def test_the_errors_are_those_of_the_json(made):
    _, page, document = made
    for name, label in zip(("loss", "W1", "B1", "W2", "B2"), LABELS, strict=True):
        picture, (_, *rows) = page.figures["How far off, in float64 roundings", label]
        shown = {of: cells for (of,), cells in zip(rows[::2], rows[1::2], strict=True)}
        for candidate in document["candidates"]:
            tensor = candidate["ordinary"]["tensors"].get(name)
            if tensor is None:  # the other gives no loss
                assert shown[candidate["name"]] == ["—"]
            elif tensor["problem"]:
                assert shown[candidate["name"]][0].startswith(f"✕ {tensor['failed']} of 30 differ: shape (1, ")
            else:
                numbers = [short(tensor["roundings"][key]) for key in ("typical", "largest", "largest_allowed")]
                verdict = f"✕ {tensor['failed']} of 30 differ" if tensor["failed"] else "match"
                assert shown[candidate["name"]] == [*numbers, verdict]
                numbers = zip(HEAD, [*numbers, verdict.removeprefix("✕ ")], strict=True)
                assert f"{candidate['name']}: {', '.join(map(' '.join, numbers))}" in picture


def test_accuracy_times_and_the_rest_are_those_of_the_json(made):
    _, page, document = made
    other, ours = document["candidates"]
    assert other["accuracy"] == []  # it ends in float32, which does not count
    assert other["failure"]["message"].startswith("dL/d")
    cases = 20 + len(TwoLayers().cases.explicit())
    assert {len(of["candidate"]) for of in ours["accuracy"]} == {cases}
    for of in ours["accuracy"]:
        _, (_, [name], mine, [autograd], its) = page.figures["How near to the truth, in float32 roundings", of["label"]]
        nearer = sum(yours < own for yours, own in zip(of["candidate"], of["autograd"], strict=True))
        assert (name, autograd) == (NUMPY, "autograd")
        assert mine == [short(median(of["candidate"])), short(max(of["candidate"])), f"in {nearer} of {cases} cases"]
        assert its[:2] == [short(median(of["autograd"])), short(max(of["autograd"]))]
    for candidate in document["candidates"]:
        assert [timing["sizes"]["batch"] for timing in candidate["times"]] == [7, 64, 257]
        for timing in candidate["times"]:
            assert f"{timing['candidate'] * 1e6:,.1f}\u00a0µs" in page.text
    command = "gradgate other.py:other numpy_impl:loss_and_grads --cases 30 --format json --html 'a page.html'"
    assert document["command"] == command
    for text in command, document["reference"]["torch"], "1..64", *(of["text"] for of in other["diagnosis"]):
        assert str(text) in page.text
    assert page.text.index("gradgate: FAIL") < page.text.index("What is wrong") < page.text.index("How far off")


def test_where_it_is_wrong_is_a_picture_with_the_numbers_of_the_json(made):
    text, page, document = made
    (grid,) = document["candidates"][0]["grids"]
    assert grid["name"] == "B2"
    picture, _ = page.figures["What is wrong", "dL/dB2"]
    errors = [error for row in grid["errors"] for error in row]
    assert picture.endswith(f"{len(errors)} of {len(errors)} cells are wrong, off by {max(errors):.1e} at most")
    assert f">{errors[0]:.0e}<" in text


def test_there_is_a_mark_for_each_case_that_proves_something_and_for_what_was_allowed(made):
    text, page, document = made
    drawn = dict(re.findall(r'<svg [^>]*aria-label="(.*?)".*?>(.*?)</svg>', text, re.DOTALL))
    for name, label in zip(("W1", "B1", "W2", "B2"), LABELS[1:], strict=True):
        tensors = [candidate["ordinary"]["tensors"][name] for candidate in document["candidates"]]
        failed = sum(tensor["failed"] for tensor in tensors)
        whole = 2**53  # roundings are 100 %: zeros would pass too
        proved = sum(limit is not None and limit < whole for of in tensors for limit in of["roundings"]["limits"])
        picture, _ = page.figures["How far off, in float64 roundings", label]
        marks = [len(re.findall(f"<use [^>]*{color}", drawn[escape(picture)])) for color in (RIGHT, WRONG, ALLOWED)]
        assert marks == [proved - failed, failed, proved]


def test_the_page_is_one_file_without_a_script_and_each_picture_has_a_name(made):
    text, page, _ = made
    tags = [tag for tag, _ in page.tags]
    assert not {"script", "link", "img", "iframe", "object"} & set(tags)
    values = [item for _, attributes in page.tags for item in attributes.items()]
    references = [value for name, value in values if name in ("src", "href", "xlink:href")]
    assert references
    assert all(reference.startswith(("#", "data:")) for reference in references)
    assert "url(http" not in text
    assert "@import" not in text
    names = [attributes["aria-label"] for tag, attributes in page.tags if tag == "svg"]
    assert len(names) == len(set(names)) == 5 + 5 + 1
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {reference[1:] for reference in references if reference[0] == "#"} <= set(ids)
    assert ("meta", {"name": "viewport", "content": "width=device-width"}) in page.tags


def test_names_and_messages_are_text_and_no_tags(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("<b>.py").write_text("def f(*arrays): raise ValueError('<script>')", encoding="utf-8")
    assert main(["<b>.py:f", "--cases", "5", "--html", "page.html"]) == 1
    page = Page(Path("page.html").read_text(encoding="utf-8"))
    assert "raised ValueError: <script>" in page.text
    assert not {"script", "b"} & {tag for tag, _ in page.tags}


def test_a_page_that_can_not_be_written_is_a_line(mine, capsys, monkeypatch):
    Path("folder.html").mkdir()
    assert main([mine, "--cases", "5", "--html", "folder.html"]) == 1
    assert re.fullmatch("gradgate: --html folder.html: .*\n", capsys.readouterr().err)
    assert main([mine, "--html", "no/page.html"]) == 2
    assert capsys.readouterr().err == "gradgate: --html no/page.html: no such folder\n"
    assert main([mine, "--html", "mine.py"]) == 2
    assert capsys.readouterr().err == "gradgate: --html mine.py: expected a name that ends in .html\n"
    assert Path("mine.py").read_text(encoding="utf-8").startswith("import numpy")
    monkeypatch.setitem(sys.modules, "torch_ref.report.page", None)  # as where matplotlib is there, but broken
    assert main([mine, "--cases", "5", "--html", "page.html"]) == 1
    assert re.fullmatch("gradgate: --html page.html: import of .* halted.*\n", capsys.readouterr().err)
