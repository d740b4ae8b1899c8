"""Systems that see few labels, or none: a real study, its scenarios, and that no label leaks into what has none."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from graft.config.study import parse
from graft.study.grid import Grid
from graft.study.steps import graph
from tests.conftest import study_values
from tests.workflow.conftest import snakemake
from tests.workflow.recomputing import check

FEW = {"rows": [8, 24], "of": ["theseus", "logit_ensemble", "concat_probe", "stitch"], "epochs": 2}
FREE = {"of": ["theseus", "stitch"]}


@pytest.fixture(scope="module")
def values(pico_glue, pico_models):
    values = study_values(pico_glue, pico_models, keep=["*"])
    values["tasks"]["stsb"]["limits"]["select"] = 20
    merges = {name: values["systems"]["merge"][name] for name in ("theseus", "logit_ensemble")}
    merges |= {"concat_probe": {"fit_rows": 64}, "stitch": {"fit_rows": 64, "text_tokens": 300}}
    values["systems"] = {"probe": {}, "merge": merges, "few-labels": FEW, "label-free": FREE}
    return values | {"include": ["rte/*", "stsb/*"], "cost": {"measure": False}}


@pytest.fixture(scope="module")
def finished(values, tmp_path_factory):
    folder = tmp_path_factory.mktemp("few")
    config = folder / "config.json"
    config.write_text(json.dumps(values))
    done = snakemake(folder, config)
    assert done.returncode == 0, done.stdout[-3000:]
    return folder / "results" / "pico", config


def test_a_task_has_the_numbers_of_labels_that_its_select_has(finished):
    runs = pd.read_csv(finished[0] / "tables" / "runs.csv")
    found = runs[runs["system"].str.startswith("finetune.few-")].groupby("task")["system"].unique()
    assert [*found["rte"]] == ["finetune.few-8.large", "finetune.few-24.large"]
    assert [*found["stsb"]] == ["finetune.few-8.large"]


def test_every_merge_with_few_labels_meets_rivals_with_as_many(finished):
    matched = pd.read_csv(finished[0] / "tables" / "matched.csv")
    few = matched[matched["scenario"].str.startswith("few-labels-")]
    assert {*few["scenario"]} == {"few-labels-8", "few-labels-24"}
    for row in few.itertuples():
        budget = row.scenario.replace("few-labels-", ".few-")
        assert budget in row.system and (budget in row.rival or row.rival == "finetune.small")
    free = matched[matched["scenario"] == "label-free"]
    taught = {f"{name}.no-labels.small-to-large" for name in ("weak-to-strong", "probe.layers")}
    assert {*free["rival"]} <= {"finetune.small", *taught}
    assert (
        not matched.loc[matched["scenario"].isin(["from-scratch", "small-given"]), "system"].str.contains("few-").any()
    )
    comparison = pd.read_csv(finished[0] / "tables" / "comparison.csv")
    assert not comparison["system"].str.contains("few-|no-labels").any()


def test_the_tables_are_what_predictions_and_costs_say(finished):
    assert check(finished[0]) > 10


def test_the_answer_names_what_to_use_with_few_labels_and_with_none(finished):
    answers = pd.read_csv(finished[0] / "tables" / "answer.csv").set_index(["task", "scenario"])
    assert [*answers.loc["stsb"].index] == ["from-scratch", "small-given", "label-free", "few-labels-8"]
    free = answers.xs("label-free", level="scenario")
    assert {*free["use"]} == {"finetune.small"} and {*free["train_flops"]} == {0}


def test_labels_that_cannot_be_read_change_nothing_where_none_are_seen(finished, tmp_path):
    folder = shutil.copytree(finished[1].parent, tmp_path / "copy", symlinks=True)
    results = folder / "results" / "pico"
    runs = [*results.glob("runs/*/*no-labels*/seed-*")]
    assert len(runs) == 2 * 2 * 5
    before = {run: pd.read_parquet(run / "predictions.parquet") for run in runs}
    chosen = {run: json.loads((run / "build.json").read_text())["choices"] for run in runs}
    for run in runs:
        shutil.rmtree(run)
    for split in ("train", "select"):
        for path in results.glob(f"data/*/{split}.parquet"):
            table = pd.read_parquet(path)
            table["label"] = np.zeros(len(table), dtype=table["label"].dtype)
            table.to_parquet(path)
    done = snakemake(folder, folder / "config.json")
    assert done.returncode == 0, done.stdout[-3000:]
    for run, expected in before.items():
        pd.testing.assert_frame_equal(pd.read_parquet(run / "predictions.parquet"), expected)
        assert json.loads((run / "build.json").read_text())["choices"] == chosen[run]


def test_the_head_alone_is_fitted_as_the_study_says(values):
    systems = values["systems"] | {"control": {"head-only": {"ridge": [0.5]}}}
    known = Grid(parse(values | {"systems": systems})).systems
    assert known["control.head-only.labelled.few-8.small-into-large"].settings.ridge == (0.5,)


def test_label_budgets_remake_nothing_else(values):
    def fingerprints(values):
        grid = Grid(parse(values))
        return {step: step.fingerprint(grid) for step in graph.of_study(grid) if step.rule not in ("gather", *LAST)}

    whole = fingerprints(values)
    without = fingerprints(values | {"systems": {k: v for k, v in values["systems"].items() if "label" not in k}})
    fewer = fingerprints(values | {"systems": values["systems"] | {"few-labels": FEW | {"rows": [24]}}})
    for some in (without, fewer):
        assert some.items() <= whole.items() and len(some) < len(whole)


LAST = ("compare", "tabulate_costs", "plot", "report", "keep_models", "transfer")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"few-labels": {"of": ["ladder"]}}, "systems.few-labels.of: ladder trains on all of train"),
        ({"few-labels": {"of": ["pretrained"]}}, "systems.few-labels.of: pretrained does not use the fine-tuned small"),
        ({"label-free": {"of": ["logit_ensemble"]}}, "systems.label-free.of: logit_ensemble needs a probe"),
        ({"few-labels": {"rows": [4]}}, "systems.few-labels.rows"),
    ],
)
def test_what_cannot_do_with_few_labels_is_refused(values, changed, message):
    merges = values["systems"]["merge"]
    merges |= {"ladder": {}, "pretrained": {"method": "concat_probe", "small": "pretrained"}}
    with pytest.raises(ValueError, match=message):
        parse(values | {"systems": values["systems"] | {"merge": merges} | changed})
