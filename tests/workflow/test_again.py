"""What a finished study keeps, and what another snakemake does again after a change: no more than it must."""

import json
import shutil
import time

import pytest

from graft.config.study import parse
from graft.io import files
from graft.study import records
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps import graph
from graft.study.steps.making import making
from tests.conftest import study_values
from tests.workflow.conftest import call, copied, made_since, snakemake

PAIR = "small-into-large"
LABELLED = f"merge.theseus.labelled.{PAIR}"
LAST = {"gather", "compare", "tabulate_costs", "plot", "report", "keep_models"}
# States do not stay, so what reads them has them made again.
STATES = {"embed_task", "calibrate", "sweep"}


@pytest.fixture(scope="module")
def finished(pico_glue, pico_models, tmp_path_factory):
    """Folder and config's values of a study of one task and one seed."""
    folder = tmp_path_factory.mktemp("again") / "study"
    folder.mkdir()
    values = study_values(pico_glue, pico_models, seeds=[0], include=["rte/*"])
    values["systems"]["probe"] = {"pooling": ["mean"]}
    heads = ["labelled", "transplant"]
    values["systems"]["merge"] = {"logit_ensemble": {}, "theseus": {"heads": heads, "strengths": [0, 1]}}
    values["systems"]["control"] = {"head-only": {"heads": ["labelled"], "fit_rows": 64}}
    values["systems"]["lora"] = {}
    values["cost"] = {"texts": 16, "rounds": 1}
    again(folder, values)
    return folder, values


def again(folder, values, well=True) -> set:
    """Let snakemake bring the study to what the config says; returns the steps that this took."""
    (folder / "config.json").write_text(json.dumps(values))
    before = time.time()
    done = snakemake(folder, folder / "config.json")
    assert (done.returncode == 0) == well, done.stdout[-3000:]
    return made_since(before, values, folder)


def changed(values, **task):
    """The config with other settings of its task."""
    values = json.loads(json.dumps(values))
    values["tasks"]["rte"] |= task
    return values


def systems(steps) -> set[str]:
    return {step.system for step in steps if hasattr(step, "system")}


def rules(steps) -> set[str]:
    return {step.rule for step in steps}


def kept(folder) -> set[str]:
    return {path.parts[-3] for path in folder.glob("results/pico/runs/*/*/seed-*/model")}


def contents(folder, name) -> dict:
    return {path.relative_to(folder): path.read_bytes() for path in folder.glob(f"results/pico/runs/*/*/*/{name}")}


def test_the_pairs_models_and_the_best_merge_stay_and_no_states(finished):
    folder, values = finished
    grid, paths = Grid(parse(values)), Paths(folder / "results/pico")
    ((system, seed),) = files.read_json(paths.root / "kept.json")["best"].values()
    scores = {run.id: files.read_json(making(grid, *run.made).output(paths))["select"] for run in grid.runs}
    merges = {name: score["value"] for name, score in scores.items() if "/merge." in name}
    assert merges[f"rte/{system}/seed-{seed}"] == max(merges.values())
    parts = {part.system for part in making(grid, "rte", system, seed).parts(grid)}
    assert kept(folder) == {"finetune.large", "finetune.small", system} | parts
    states = [step for step in graph.of_study(grid) if step.temporary]
    assert rules(states) == STATES and not any(step.output(paths).parent.exists() for step in states)
    assert not list(paths.root.glob("checkpoints/*")) and not files.leftovers(paths.root)


def test_a_changed_option_makes_again_what_depends_on_it_alone(finished, tmp_path):
    folder, values = copied(finished[0], tmp_path / "copy"), json.loads(json.dumps(finished[1]))
    values["systems"]["merge"]["theseus"]["strengths"] = [0, 2]
    steps = again(folder, values)
    assert rules(steps) - LAST == {"embed_task", "calibrate", "sweep", "merge_models", "evaluate"}
    assert all("theseus" in system for system in systems(steps)) and len(systems(steps)) == 2
    assert {str(step) for step in steps if step.rule == "sweep"} == {f"sweep rte theseus {PAIR} 0"}


def test_another_metric_is_computed_of_the_predictions_without_any_model(finished, tmp_path):
    folder = copied(finished[0], tmp_path / "copy")
    predicted, builds = contents(folder, "predictions.parquet"), contents(folder, "build.json")
    for model in folder.glob("results/pico/runs/*/*/*/model"):
        shutil.rmtree(model)
    steps = again(folder, changed(finished[1], metrics=["accuracy", "f1"]))
    assert rules(steps) == {*LAST, "evaluate"}
    assert contents(folder, "predictions.parquet") == predicted and contents(folder, "build.json") == builds
    found = {path: set(json.loads(text)["metrics"]) for path, text in contents(folder, "run.json").items()}
    assert len(found) == 11 and all(metrics == {"accuracy", "f1"} for metrics in found.values())
    assert kept(folder) == set()


@pytest.mark.parametrize("system", [f"merge.theseus.transplant.{PAIR}", "lora.large"])
def test_a_record_that_was_removed_is_made_again(finished, tmp_path, system):
    folder, values = copied(finished[0], tmp_path / "copy"), finished[1]
    path = folder / f"results/pico/runs/rte/{system}/seed-0/run.json"
    before, models = records.without_measured(records.read(path)), kept(folder)
    path.unlink()
    steps = again(folder, values)
    assert {str(step) for step in steps if step.rule == "evaluate"} == {f"evaluate rte {system} 0"}
    # Costs are measured once a job that they wait for is done.
    assert rules(steps) - LAST <= {"evaluate", "measure_cost"} and systems(steps) == {system}
    assert records.without_measured(records.read(path)) == before and kept(folder) == models


def test_a_method_that_fails_fails_alone_and_is_tried_again_alone(finished, tmp_path):
    folder, values = copied(finished[0], tmp_path / "copy"), json.loads(json.dumps(finished[1]))
    values["systems"]["merge"]["theseus"]["strengths"] = [0, 2]
    # A file where the step must put a folder.
    model = folder / f"results/pico/runs/rte/{LABELLED}/seed-0/model"
    shutil.rmtree(model, ignore_errors=True)
    model.touch()
    steps = again(folder, values, well=False)
    assert f"merge_models rte merge.theseus.transplant.{PAIR} 0" in map(str, steps) and LABELLED not in systems(steps)
    status = call(folder, "graft", "status", "pico").stdout
    assert "merge_models: " in status and f"logs/merge_models/rte/{LABELLED}/seed-0.log" in status, status
    model.unlink()
    steps = again(folder, values)
    assert systems(steps) == {LABELLED}
    assert {step.rule for step in steps if hasattr(step, "system")} == {"merge_models", "evaluate"}


def test_models_that_were_not_kept_come_back_to_the_same_hash(finished, tmp_path):
    folder = copied(finished[0], tmp_path / "copy")
    for system in ("lora.large", f"merge.theseus.transplant.{PAIR}"):
        recorded = files.read_json(folder / f"results/pico/runs/rte/{system}/seed-0/build.json")["model_sha256"]
        done = call(folder, "graft", "build", "pico", "rte", system, "0")
        assert done.returncode == 0, done.stderr
        model = folder / done.stdout.splitlines()[-1]
        assert recorded and {name: files.sha256(model / name) for name in recorded} == recorded
    assert "Nothing to be done" in snakemake(folder, folder / "config.json").stdout
