"""`python -m numpy_impl`: the article's figures."""

import re

import numpy_impl.__main__
from numpy_impl import xor


def test_the_article_reproduction_says_when_xor_is_not_solved(monkeypatch, capsys):
    monkeypatch.setattr(xor, "STEPS", 1)
    numpy_impl.__main__.main()
    assert re.findall(r"XOR  +(.*?)  ", capsys.readouterr().out) == ["not solved", "not solved"]
