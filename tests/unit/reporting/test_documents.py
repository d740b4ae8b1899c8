import re

import numpy as np
import pandas as pd
import pytest

from graft.reporting import documents
from graft.reporting.aggregate import aggregated
from graft.reporting.comparison import comparison
from graft.reporting.significance import significance
from graft.statistics.crossed import Crossed

BIG = {seed: 0.59 + 0.02 * seed for seed in range(6)}
INTERPOLATE = "merge.interpolate.tiny-into-big"
VALUES = {"finetune.big": BIG, "finetune.tiny": {seed: 0.55 + 0.01 * seed for seed in BIG}}
VALUES |= {INTERPOLATE: {seed: value + (0.02 if seed % 2 else -0.03) for seed, value in BIG.items()}}
VALUES |= {"majority": {"all": 0.5}}
VALUES[INTERPOLATE][1] = "failed"


@pytest.fixture
def sections(study, runs_of, tested):
    """The sections of a study with these values by system and seed."""

    def of(values):
        runs = runs_of(values, flops={"finetune.big": 1.25e15})
        rows, tasks = tested(runs, study())
        tables = comparison(rows, runs, study()), significance(rows, tasks), aggregated(rows, tasks)
        return documents.sections(*tables, 0.95)

    return of


@pytest.fixture
def parts(sections):
    return sections(VALUES)


def test_few_seeds_have_no_interval_and_no_empty_column_and_the_foot_says_why(sections):
    few = {system: {s: value for s, value in of.items() if s in (0, 2, 3, "all")} for system, of in VALUES.items()}
    text = documents.to_markdown(parts := sections(few))
    assert "[" not in text and "<u>" not in text and "underlined" not in text and "**0.623**" in text
    assert "3 seeds are too few for intervals, which take 5, and for p values and verdicts, which take 12." in text
    assert "fewer than 5 of these, so there are no intervals" in parts[-1].notes[0]
    for part in (*parts, *sections(VALUES)):
        assert not {"verdict", "descriptive"} & {*part.columns, *(cell.text for row in part.rows for cell in row)}
        assert all(any(cell.text not in ("", "–") for cell in column) for column in zip(*part.rows, strict=True))
    assert "6 seeds are too few for p values and verdicts, which take 12." in documents.to_markdown(sections(VALUES))


def test_enough_seeds_have_verdicts(sections):
    part, _ = sections({system: {s: v for s in range(12)} for system, v in (("finetune.big", 0.8), (INTERPOLATE, 0.6))})
    assert "too few" not in part.notes[0]
    assert [row[part.columns.index("verdict")].text for row in part.rows] == ["descriptive", "worse"]


def test_markdown_has_a_table_per_task_with_the_best_in_bold_and_no_nan(parts):
    text, _, _ = documents.to_markdown(parts).partition("## all tasks")
    lines = {line.split(" | ")[0].strip("| "): line for line in text.splitlines() if line.startswith("|")}
    assert "## rte" in text and "accuracy" in lines["system"]
    assert "**0.640 [" in lines["finetune.big"] and text.count("**") == 2
    assert "reference" in lines["finetune.big"] and "1.2e15 (×1)" in lines["finetune.big"]
    assert "5/6, 1 failed" in lines[INTERPOLATE]
    assert "6 seeds" in text and "95%" in text
    assert "nan" not in text.lower() and "None" not in text


def test_what_is_shown_to_be_near_the_best_is_underlined(sections):
    near = VALUES | {"finetune.tiny": {seed: value - 0.005 for seed, value in BIG.items()}}
    underlined = re.findall(r"\| (\S+) .*<u>", documents.to_markdown(sections(near)))
    assert underlined == ["finetune.tiny"]  # the merge may be as good, or not: it is not told apart


def test_it_says_what_a_verdict_on_the_chosen_merge_would_take(parts):
    (note,) = [note for note in parts[0].notes if note.startswith(INTERPOLATE)]
    assert re.search(r"a true typical difference of 0\.03 .* about [\d,]+ seeds and [\d,]+ report examples", note)
    assert "this study has 5 and 1,000" in note


def test_it_says_how_many_rows_share_a_text_with_train_and_what_is_left_without_them(study, runs_of, tested):
    runs = runs_of(VALUES)
    rows, tasks = tested(runs, study())
    labels = np.zeros(900, int)
    fewer = Crossed("rte", "accuracy", labels, {"finetune.big": {"0": labels, "1": 1 - labels}})
    for unseen, notes in ((fewer, 1), (tasks["rte"], 0)):
        table = comparison(rows, runs, study(), {"rte": unseen})
        part, *_ = documents.sections(table, significance(rows, tasks), aggregated(rows, tasks), 0.95)
        found = [note for note in part.notes if "share a sentence" in note]
        assert len(found) == notes
        assert all(note.startswith("100 of 1,000 report rows") for note in found)
        assert all("without them: finetune.big 0.500;" in note for note in found)
    told = table.set_index("system").loc["finetune.big"]
    assert told["mean_unseen"] == pytest.approx(told["mean"]) and told["n_unseen_examples"] == 1000


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
