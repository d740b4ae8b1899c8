import io
import itertools

import pytest
from rich.console import Console
from rich.text import Text

from graft.reporting.fitting import Column, Fitted, Prose, shared_out

NAMES = ("merge.spacewise.transplant.tinybert-4l-into-bert-base", "finetune.bert-base", "majority *")
COLUMNS = (Column("system"), Column("mean", True), Column("Δ", least=24), Column("Δ small", True, 1), Column("runs"))
ROWS = [
    [Text(cell) for cell in (name, "0.717", "−0.026 [−0.245, +0.202]", "+0.001", "2/3, 1 missing")] for name in NAMES
]


def printed(part, width):
    console = Console(width=width, file=io.StringIO())
    console.print(part, crop=False)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def words(lines):
    return set(itertools.chain.from_iterable(line.split() for line in lines))


@pytest.mark.parametrize("width", [1, 20, 30, 40, 60, 80, 100, 200])
def test_no_word_is_ever_broken(width):
    lines = printed(Fitted(COLUMNS, ROWS), width)
    found = words(lines) | {word.removesuffix(":") for word in words(lines)}
    for row in ROWS:
        for number, cell in enumerate(row):
            # What a table leaves out, it says.
            assert number == 3 and "for: Δ small" in " ".join(lines) or set(cell.plain.split()) <= found


@pytest.mark.parametrize("width", [30, 40, 60, 80, 100, 200])
def test_only_a_name_is_longer_than_a_line(width):
    lines = printed(Fitted(COLUMNS, ROWS), width)
    assert all(len(line) <= width or line in NAMES for line in lines)


def test_a_table_is_as_wide_as_its_text_and_folds_no_sooner_than_it_must():
    lines = printed(Fitted(COLUMNS, ROWS), 200)
    assert len(lines) == 2 + len(ROWS) + 1 and lines[2].startswith(f"{NAMES[0]}  0.717  −0.026 [−0.245, +0.202]  ")
    # Names go first; then all that is left fits.
    assert len(printed(Fitted(COLUMNS, ROWS), 80)) == 3 + 2 * len(ROWS) + 1


def test_markup_and_styles_stay_what_they_are():
    rows = [[Text("a"), Text("[red]not markup[/red]", style="bold")]]
    assert "[red]not markup[/red]" in printed(Fitted([Column("x"), Column("y")], rows), 100)[-2]


def test_prose_keeps_a_long_path_whole():
    path = "results/study/" + 10 * "very-long/"
    assert printed(Prose(f"its log is {path} now"), 40) == ["its log is", path, "now"]


def test_room_is_shared_by_what_is_asked_for():
    assert shared_out([(5, 5), (4, 50), (3, 6)], 40) == [5, 29, 6]
    assert shared_out([(5, 9), (4, 8)], 9) == [5, 4]
