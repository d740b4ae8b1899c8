import re

import pandas as pd
import pytest

from graft.reporting import documents
from graft.reporting.aggregate import aggregated
from graft.reporting.comparison import comparison
from graft.reporting.significance import significance

BIG = {0: 0.60, 1: 0.64, 2: 0.68}
INTERPOLATE = "merge.interpolate.tiny-into-big"
VALUES = {"finetune.big": BIG, "finetune.tiny": {0: 0.55, 1: 0.57, 2: 0.59}}
VALUES |= {INTERPOLATE: {0: 0.59, 1: "failed", 2: 0.65}, "majority": {"all": 0.5}}


@pytest.fixture
def parts(study, runs_of, tested):
    runs = runs_of(VALUES, flops={"finetune.big": 1.25e15})
    rows, tasks = tested(runs, study())
    tables = comparison(rows, runs, study()), significance(rows, tasks), aggregated(rows, tasks)
    return documents.sections(*tables, 0.95)


def test_markdown_has_a_table_per_task_with_the_best_in_bold_and_no_nan(parts):
    text, _, _ = documents.to_markdown(parts).partition("## all tasks")
    lines = {line.split(" | ")[0].strip("| "): line for line in text.splitlines() if line.startswith("|")}
    assert "## rte" in text and "accuracy" in lines["system"]
    assert "**0.640 [" in lines["finetune.big"] and text.count("**") == 2
    assert "reference" in lines["finetune.big"] and "1.2e15 (×1)" in lines["finetune.big"]
    assert "2/3, 1 failed" in lines[INTERPOLATE]
    assert "3 seeds" in text and "95%" in text
    assert "nan" not in text.lower() and "None" not in text


def test_what_is_within_noise_of_the_best_is_underlined(parts):
    underlined = re.findall(r"\| (\S+) .*<u>", documents.to_markdown(parts))
    assert underlined == [INTERPOLATE]


def test_it_says_what_a_verdict_on_the_chosen_merge_would_take(parts):
    (note,) = [note for note in parts[0].notes if note.startswith(INTERPOLATE)]
    assert re.search(r"a true difference of 0\.03 .* about [\d,]+ seeds and [\d,]+ report examples", note)
    assert "this study has 2 and 1,000" in note


def test_the_page_shows_the_same_cells_and_needs_nothing_else(parts):
    page = documents.to_html(parts, "s")
    cells = [cell for part in parts for row in part.rows for cell in row]
    assert page.count("<td>") == len(cells)
    assert f"<strong>{next(cell.text for cell in cells if cell.best)}</strong>" in page
    assert not re.search(r"(src|href)=|@import|url\(", page)


def test_no_text_of_a_study_becomes_html(parts):
    hostile = documents.Section("<b>x</b>", ("a & b",), ((documents.Cell("<script>alert(1)</script>"),),), ("</p>",))
    page = documents.to_html([*parts, hostile], "<i>s</i>")
    assert "<script>" not in page and "<b>x" not in page and "<i>s" not in page and "a & b" not in page


def test_without_tasks_that_count_there_is_no_table_of_all(study, runs_of, tested):
    runs = runs_of({"finetune.big": {0: 0.5}})
    rows, tasks = tested(runs, study())
    tables = comparison(rows, runs, study()), significance(rows, tasks), aggregated(rows, tasks)
    assert isinstance(tables[2], pd.DataFrame) and not len(tables[2])
    assert [part.heading for part in documents.sections(*tables, 0.95)] == ["rte"]
