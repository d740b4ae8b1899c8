"""Pieces of GitHub's Markdown."""

import pytest

from graft.io import markdown


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [("`tasks.<name>.source`, kind `hub`", "tasksnamesource-kind-hub"), ("1. What is `left`?", "1-what-is-left")],
)
def test_anchors_are_those_of_github(heading, anchor):
    assert markdown.slug(heading) == anchor


def test_names_in_angle_brackets_are_no_html():
    assert markdown.prose("results/<name>/ and `<name>`, s <- s") == "results/&lt;name>/ and `<name>`, s <- s"


def test_a_cell_breaks_no_table():
    shown = markdown.table(("a", "b"), [("x | y", "two\nlines")])
    assert shown.splitlines() == ["| a | b |", "| --- | --- |", r"| x \| y | two lines |"]
