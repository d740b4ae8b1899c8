"""Tables in the docs have something in every cell."""

import re

import pytest

from graft.cli.references.__main__ import ROOT

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
ROW = re.compile(r"^\|.*\|$")
# `none` is a default in configuration.md.
NOTHING = ("", "nan", "NaN", "None", "<NA>")


def empty_cells(text):
    """Number and text of lines whose table cells hold nothing; a row of headings may have an empty corner."""
    found, before, code = [], "", False
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        code ^= line.startswith("```")
        if not code and ROW.match(line):
            cells = [cell.strip(" *`") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            corner = not ROW.match(before)
            if any(cell in NOTHING for cell in cells[corner:]):
                found.append((number, line))
        before = "" if code else line
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_cell_of_a_table_is_empty(page):
    assert not empty_cells(page.read_text())


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("| | a |\n|---|---|\n| b | 1 |", []),
        ("| | a | |\n|---|---|---|\n| b | 1 | 2 |", [1]),
        ("| x | a |\n|---|---|\n|  | 1 |\n| b | nan |\n| b | **None** |\n| `none` | – |", [3, 4, 5]),
        ("```\n| a | |\n| b | |\n```", []),
    ],
)
def test_empty_cells_are_found(text, lines):
    assert [number for number, _ in empty_cells(text)] == lines
