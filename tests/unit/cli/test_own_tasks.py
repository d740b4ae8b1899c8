"""Tasks as people have them: files, folders and data sets on the hub, understood or refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import datasets
import pandas as pd
import pytest

from graft.cli.own_tasks import own_task, own_tasks
from graft.config.tasks import Task
from graft.tasks.prepare import prepare_task
from graft.tasks.readers import read_split
from tests.unit.hub import HEAD, serving

ROOT = Path(__file__).parents[3]
ROWS = 60
TABLE = pd.DataFrame(
    {
        "id": range(ROWS),
        "review": [f'film {i}, "quoted"\nand {"good" if i % 2 else "dull"}' for i in range(ROWS)],
        "sentiment": ["pos" if i % 2 else "neg" for i in range(ROWS)],
    }
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(table: pd.DataFrame, path: str) -> None:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    match file.suffix:
        case ".csv":
            table.to_csv(file, index=False)
        case ".tsv":
            table.assign(review=table["review"].str.replace("\n", " ")).to_csv(file, sep="\t", index=False)
        case ".jsonl" | ".json":
            table.to_json(file, orient="records", lines=file.suffix == ".jsonl")
        case ".parquet":
            table.to_parquet(file)
        case _:
            datasets.Dataset.from_pandas(table).save_to_disk(file)


ENDINGS = [".csv", ".jsonl", ".json", ".parquet", ""]


@pytest.mark.parametrize("ending", ENDINGS)
def test_one_file_of_any_kind_is_split_into_three(folder, ending):
    write(TABLE, f"data/reviews{ending}")
    task = own_task(f"reviews=data/reviews{ending}")
    assert task.source.splits == {"train": "reviews"} and task.source.kind == (ending[1:] or "datasets")
    assert (task.row.text, task.row.label, task.row.labels) == (("review",), "sentiment", ("neg", "pos"))
    assert (task.rows, task.reported) == (ROWS, ROWS // 5)
    manifest = prepare_task("reviews", spec(task), folder / "out", "x")
    assert {split: manifest["rows"][split] for split in ("train", "select", "report")} == {
        "train": 44,
        "select": 4,
        "report": 12,
    }
    texts = [pd.read_parquet(folder / "out" / f"{split}.parquet")["text_a"] for split in ("train", "select", "report")]
    assert sorted(pd.concat(texts)) == sorted(TABLE["review"]) and len(set(pd.concat(texts))) == ROWS


def spec(task) -> Task:
    row = task.row
    return Task(source=task.source, text=row.text, label=row.label, labels=row.labels, metrics=row.metrics)


def test_three_rows_are_shown_as_they_were_understood(folder):
    write(TABLE, "reviews.csv")
    told = own_task("reviews=reviews.csv").told
    assert (
        told[0] == "60 rows in reviews.csv; text in review; label in sentiment, 2 classes (neg: 30 rows, pos: 30 rows)"
    )
    assert told[1].startswith("rows: train 44, select 4, report 12; select and report are carved out of train")
    assert len(told) == 5 and all("quoted" in line and line.endswith((" → neg", " → pos")) for line in told[2:])


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("dev", ["dev", "validation", "Valid", "test"])
def test_a_folder_with_both_splits_is_taken_as_it_is(folder, ending, dev):
    write(TABLE, f"data/train{ending}")
    write(TABLE.iloc[:10], f"data/{dev}{ending}")
    if not ending:
        splits = {name: datasets.load_from_disk(f"data/{name}") for name in ("train", dev)}
        datasets.DatasetDict(splits).save_to_disk("saved")
    task = own_task(f"reviews={'data' if ending else 'saved'}")
    assert task.source.splits == (None if dev == "dev" else {"train": "train", "dev": dev})
    assert (task.rows, task.reported) == (ROWS, 10)


def test_a_test_split_without_labels_is_no_report(folder):
    write(TABLE, "data/train.csv")
    for labels in ({"sentiment": -1}, {"sentiment": None}, {}):
        write(TABLE.drop(columns="sentiment").assign(**labels), "data/test.csv")
        task = own_task("reviews=data")
        assert task.source.splits == {"train": "train"} and task.reported == ROWS // 5


def test_pairs_and_scores_are_recognised(folder):
    pairs = TABLE.assign(question=TABLE["review"].str.upper(), similarity=[i / 7 for i in range(ROWS)])
    write(pairs.drop(columns="sentiment"), "alike.csv")
    task = own_task("alike=alike.csv")
    assert task.row.text == ("review", "question") and task.row.kind == "score"
    assert task.told[2].count(" | ") == 1 and task.told[2].split(" → ")[1].replace(".", "").isdigit()


def test_columns_can_be_named(folder):
    write(TABLE.assign(title=TABLE["review"], body=TABLE["review"], note=TABLE["review"]), "reviews.csv")
    with pytest.raises(ValueError, match="4 columns contain text .*--columns NAME=TEXT"):
        own_task("reviews=reviews.csv")
    (task,) = own_tasks(["reviews=reviews.csv"], (), ["reviews=title, body,sentiment"])
    assert task.row.text == ("title", "body") and task.row.label == "sentiment"


def test_names_of_classes_come_from_the_file_if_it_has_them(folder):
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["world", "sports", "tech"])}
    )
    rows = {"text": [f"news number {i}" for i in range(ROWS)], "label": [i % 3 for i in range(ROWS)]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet("news.parquet")
    task = own_task("news=news.parquet")
    assert task.row.labels == ("world", "sports", "tech")
    assert "3 classes (world: 20 rows, sports: 20 rows, tech: 20 rows)" in task.told[0]
    assert read_split(task.source, task.row, "train", "x")["label"].tolist() == rows["label"]


@pytest.mark.parametrize(
    ("files", "given", "message"),
    [
        (["a.csv", "b.csv"], "x=.", "which of a, b is train\\? Call one of them train, or name its file"),
        (["train.csv", "train.jsonl"], "x=.", "contains files of the kinds csv, jsonl; name the file to train on"),
        (["a.xlsx"], "x=a.xlsx", "not a table with one of the endings parquet, csv, tsv, jsonl, json; save it as CSV"),
        ([], "x=none.csv", "none.csv is not a folder"),
        (["a.csv"], "rte=a.csv", "no column 'sentence1'; it has id, review, sentiment$"),
    ],
)
def test_what_is_not_understood_is_refused_in_one_sentence(folder, files, given, message):
    for file in files:
        if file.endswith("xlsx"):
            Path(file).write_bytes(b"PK\x03\x04")
        else:
            write(TABLE, file)
    with pytest.raises(ValueError, match=message) as error:
        own_task(given)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("given", ["x=a", "y=a,b", "x=a,b,c,d", "x=a,,b", "rte=a,b"])
def test_columns_that_cannot_be_are_refused(folder, given):
    write(TABLE, "a.csv")
    with pytest.raises(ValueError, match="--columns .*: use NAME=TEXT,LABEL or NAME=TEXT,TEXT,LABEL"):
        own_tasks(["x=a.csv", "rte"], (), [given])


def test_a_label_that_only_a_carved_report_would_have_is_refused(folder):
    once = TABLE.assign(sentiment=["rare" if i == 7 else "neg" for i in range(ROWS)])
    write(once, "reviews.csv")
    with pytest.raises(ValueError, match="(train|report) as carved out"):
        own_task("reviews=reviews.csv")


def test_glues_tasks_need_no_path_and_mnli_has_its_matched_split():
    cola, mnli = own_tasks(["cola", "mnli"], (), ())
    assert (cola.source.repo, cola.source.config, cola.source.splits) == ("nyu-mll/glue", "cola", None)
    assert mnli.source.named("dev") == "validation_matched" and mnli.rows == 392_702 and mnli.known


PROGRAM = """
import json, sys
from graft.cli.own_tasks import own_task
from graft.tasks.readers import read_split
try:
    task = own_task(sys.argv[1])
    print(json.dumps([task.source.model_dump(exclude_none=True), task.rows, task.reported, task.row.labels]))
except ValueError as error:
    sys.exit(str(error))
"""


def on_hub(hub: Path, given: str) -> subprocess.CompletedProcess[str]:
    """The hub's address is read on import, so each call has a process of its own."""
    with serving(hub) as endpoint:
        asked = {"PYTHONPATH": str(ROOT), "HF_ENDPOINT": endpoint, "HF_HOME": str(hub / "cache")}
        command = [sys.executable, "-c", PROGRAM, given]
        return subprocess.run(command, env={**os.environ, **asked}, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("files", "given", "source", "reported"),
    [
        (
            ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"],
            "",
            {"splits": {"train": "train"}},
            24,
        ),
        (
            ["train.csv", "test.csv"],
            f"@{'a' * 40}",
            {"splits": {"train": "train", "dev": "test"}, "revision": "a" * 40},
            60,
        ),
        (["en/train.jsonl", "en/validation.jsonl", "de/train.jsonl"], "/en", {"config": "en"}, 60),
        (["default/train/0000.parquet", "default/test/0000.parquet"], "@main", {"config": "default"}, 60),
    ],
)
def test_any_data_set_on_the_hub_is_read(folder, files, given, source, reported):
    for file in files:
        write(TABLE, f"hub/datasets/owner/reviews/{file}")
    done = on_hub(folder / "hub", f"reviews=owner/reviews{given}")
    assert done.returncode == 0, done.stderr
    found, rows, report, labels = json.loads(done.stdout)
    assert {"repo": "owner/reviews", "kind": "hub", "revision": HEAD, **source}.items() <= found.items()
    assert (report, labels) == (reported, ["neg", "pos"]) and rows == ROWS * sum(
        "train" in file and "de/" not in file for file in files
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("reviews=owner/none", "owner/none is not a folder, and the hub does not give its commit"),
        (
            "reviews=owner/reviews",
            "has no tables that are splits; use owner/reviews/CONFIG of one that has; its configs: de, en",
        ),
        ("reviews=owner/reviews/fr", "has no tables that are splits; use owner/reviews/CONFIG"),
    ],
)
def test_what_the_hub_does_not_have_is_told(folder, given, message):
    for config in ("de", "en"):
        write(TABLE, f"hub/datasets/owner/reviews/{config}/train.jsonl")
    done = on_hub(folder / "hub", given)
    assert done.returncode == 1 and message in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
