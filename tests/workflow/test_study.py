"""A whole study, run once; what it must leave behind, and what it must not do again."""

import json
import re
import shutil
import subprocess
import sys
import time
import zipfile

import numpy as np
import pandas as pd
import pytest

from graft.config.study import parse
from graft.encoders import inference
from graft.io import files
from graft.merging.loading import load
from graft.planning import sizes
from graft.planning.sizes import sizes_of
from graft.registry.scenarios import scenarios
from graft.reporting import captions, explaining, formats
from graft.study import program, records, runs, working
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps import graph
from graft.study.steps.embed_task import EmbedTask
from graft.study.steps.job import Job
from graft.study.steps.making import making
from graft.tasks import metrics
from tests.conftest import study_values, with_other_small, with_transfers
from tests.workflow.conftest import call, copied, environment, made_since, snakemake
from tests.workflow.recomputing import check

PAIR = "small-into-large"
HEADS = ("transplant", "label-free", "labelled")
OF_A_TASK = {name: texts for name, texts in captions.FIGURES.items() if name != "profiles"}


@pytest.fixture(scope="module")
def finished(pico_glue, pico_models, pico_others, tmp_path_factory):
    """Results folder and config of one finished study: a task with classes, one with a score, one for a transfer."""
    folder = tmp_path_factory.mktemp("finished")
    few = ["finetune", "merge", "lora", "distil", "weak-to-strong", "budget", "ensemble", "warm-start.merged.3"]
    include = ["rte/*", *(f"stsb/{name}.*" for name in few), "sst2/finetune.large/*", "sst2/finetune.small/*"]
    # The second seed is for ensembles alone.
    values = study_values(pico_glue, pico_models, seeds=[0, 1], include=include, exclude=["*/seed-1"])
    with_other_small(values)
    with_transfers(values, pico_others)
    values["systems"]["merge"] |= {
        "proxy_tuning": {},
        "concat_probe": {"fit_rows": 64, "folds": 2},
        "concat-pretrained": {"method": "concat_probe", "small": "pretrained", "pooling": "cls", "fit_rows": 64},
        "stitch": {"fit_rows": 64, "text_tokens": 300},
        "side_tuning": {},
        "ladder": {"epochs": 1},
        "calm": {"probe": "cls"},
    }
    values["systems"] |= {name: {} for name in ("lora", "distil", "weak-to-strong", "ensemble")}
    values["systems"] |= {"budget": {"fractions": ["1/2"]}, "oracle": {"of": ["theseus"]}}
    values["systems"]["control"]["wrong-task"] = {"of": ["theseus"]}
    values |= {"cost": {"texts": 16, "rounds": 2}, "keep": ["*"]}
    values["models"]["small"]["finetune"]["rte"]["grid"] = {"learning_rate": [1e-4, 3e-3], "seeds": 2}
    values["systems"]["warm-start"] = {"merge": "spacewise", "steps": [3, 20], "rates": [1.0, 3.0]}
    config = folder / "config.json"
    config.write_text(json.dumps(values))
    done = snakemake(folder, config)
    assert done.returncode == 0, done.stdout[-3000:]
    return folder / "results" / "pico", config, values


def test_every_cell_of_the_comparison_is_filled(finished):
    results, _, _ = finished
    table = pd.read_csv(results / "tables" / "comparison.csv")
    assert table.groupby("task").size().to_dict() == {"rte": 48, "sst2": 2, "stsb": 25}
    known = ("mean", "train_flops", "train_flops_ratio", "train_flops_shared", "inference_flops", "parameters")
    for column in (*known, "delta_vs_reference"):
        assert table[column].notna().all(), column
    assert (table["n_missing"] == 0).all() and (table["n_failed"] == 0).all()
    # Two seeds are too few for these.
    assert table[["ci_low", "delta_ci_high", "p_value", "verdict"]].isna().all(axis=None)


def test_the_report_has_an_answer_and_every_figure_that_there_is_data_for(finished):
    results, _, _ = finished
    page = (results / "report.html").read_text()
    for task in ("rte", "stsb"):
        assert f"On {task} the best merge, chosen on select" in page
        drawn = {path.stem for path in (results / "figures").glob(f"*.{task}.svg")}
        texts = captions.by_name(scenarios([None]))
        # Scenarios that look the same are drawn once.
        frontiers = {f"{figure}.{task}" for figure in texts if figure.startswith(captions.FRONTIERS)}
        assert drawn - frontiers == {f"{figure}.{task}" for figure in OF_A_TASK if figure not in captions.FRONTIERS}
        assert {f"{figure}-from-scratch.{task}" for figure in captions.FRONTIERS} <= drawn
        assert all(f'aria-label="{texts[stem.rsplit(".", 1)[0]][0]}, {task}"' in page for stem in drawn)
    counted = len(pd.read_csv(results / "tables" / "aggregate.csv"))
    assert (results / "figures" / f"profiles.{captions.ALL_TASKS}.svg").is_file() == bool(counted)
    # Two fine-tuned models and nothing else.
    assert not list((results / "figures").glob("strengths.sst2.*"))
    assert "On sst2 there is no answer" in page


def test_snakemakes_own_report_holds_tables_and_figures_with_captions(finished):
    results, config, _ = finished
    done = snakemake(config.parent, config, "--report", "study.zip")
    assert done.returncode == 0, done.stdout[-2000:]
    with zipfile.ZipFile(config.parent / "study.zip") as archive:
        names = {name.rsplit("/", 1)[1] for name in archive.namelist()}
        page = archive.read("study/report.html").decode()
    assert {path.name for path in (results / "figures").glob("*.svg")} <= names
    assert {"report.html", "comparison.csv", "comparison.html", "cost.csv", "transfer.csv"} <= names
    assert all(text.split(". ")[0] in page for _, text in OF_A_TASK.values())


def test_the_tables_numbers_can_be_made_again_from_the_predictions(finished):
    results, _, _ = finished
    assert check(results) == 73


def test_hyperparameters_are_chosen_by_trials_on_select_and_their_cost_is_counted(finished):
    results, _, values = finished
    trials = {}
    for path in results.glob("runs/rte/trial.small.*/seed-*/build.json"):
        assert not list(path.parent.glob("model/*")) and not (path.parent / "run.json").exists()
        trials.setdefault(path.parts[-3], []).append(files.read_json(path))
    means = {name: np.mean([one["select"]["value"] for one in found]) for name, found in trials.items()}
    assert sorted(means) == ["trial.small.rate-0.0001.epochs-2", "trial.small.rate-0.003.epochs-2"]
    assert all(len({one["seed"] for one in found} - set(values["seeds"])) == 2 for found in trials.values())
    best = max(means, key=means.get)
    spent = sum(sum(one["train_flops_parts"].values()) for found in trials.values() for one in found)
    for system in ("finetune.small", f"merge.theseus.labelled.{PAIR}"):
        record = records.read(results / "runs" / "rte" / system / "seed-0" / "run.json")
        made = files.read_json(results / "runs" / "rte" / system / "seed-0" / "build.json")
        kept = {k: v for k, v in made["train_flops_parts"].items() if k.startswith("trial.small")}
        assert sum(kept.values()) == spent < record.cost.train_flops
    tuned = files.read_json(results / "runs" / "rte" / "finetune.small" / "seed-0" / "build.json")
    choice = tuned["choices"][0]
    assert choice["name"] == "hyperparameters" and f"trial.small.{choice['chosen']}" == best
    assert {f"trial.small.{one['value']}": one["score"] for one in choice["searched"]} == pytest.approx(means)
    assert f"rate-{tuned['hyperparameters']['learning_rate']:g}" in best
    assert (results / "runs" / "rte" / "trial.untrained.rate-0.003.epochs-2").is_dir()
    assert not pd.read_csv(results / "tables" / "runs.csv")["system"].str.startswith("trial").any()


@pytest.mark.parametrize("system", ["finetune.large", f"merge.theseus.labelled.{PAIR}", f"merge.interpolate.{PAIR}"])
def test_saved_models_load_with_plain_hugging_face_and_give_the_predictions(finished, system, pico_glue):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    results, _, _ = finished
    run = results / "runs" / "rte" / system / "seed-0"
    model = AutoModelForSequenceClassification.from_pretrained(run / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(run / "model")
    texts = pd.read_csv(pico_glue / "RTE" / "dev.tsv", sep="\t")
    batch = tokenizer(texts["sentence1"].tolist(), texts["sentence2"].tolist(), padding=True, return_tensors="pt")
    with torch.inference_mode():
        logits = model(**batch).logits.numpy()
    stored = pd.read_parquet(run / "predictions.parquet")[["logit_0", "logit_1"]].to_numpy()
    assert np.abs(logits - stored).max() < 1e-5
    assert model.config.id2label == {0: "entailment", 1: "not_entailment"}


def record(results, task, system, seed):
    return json.loads((results / "runs" / task / system / f"seed-{seed}" / "run.json").read_text())


def test_strength_zero_is_in_every_curve_and_the_choice_is_its_best(finished):
    results, _, _ = finished
    for task in ("rte", "stsb"):
        for system in (f"merge.theseus.{HEADS[0]}.{PAIR}", f"merge.interpolate.{PAIR}", f"merge.logit_ensemble.{PAIR}"):
            run = record(results, task, system, 0)
            choice = run["choices"][0]
            scores = [point["score"] for point in choice["searched"]]
            assert 0 in [point["value"] for point in choice["searched"]]
            best = max(point["score"] for point in choice["searched"] if point["value"] == choice["chosen"])
            assert best == max(scores) == run["select"]["value"]


def test_theseus_at_strength_zero_scores_as_its_head_alone(finished):
    results, _, _ = finished
    for head in HEADS:
        seed = "all" if head == "labelled" else 0
        alone = record(results, "rte", f"control.head-only.{head}.{PAIR}", seed)
        merged = record(results, "rte", f"merge.theseus.{head}.{PAIR}", 0)
        at_zero = {p["ridge"]: p["score"] for p in merged["choices"][0]["searched"] if p["value"] == 0}
        (choice,) = alone["choices"]
        assert choice["name"] == "ridge"
        assert at_zero == {p["value"]: p["score"] for p in choice["searched"]}


def test_training_flops_of_a_merge_hold_those_of_its_parts_once(finished):
    results, _, _ = finished
    small = record(results, "rte", "finetune.small", 0)["cost"]
    merged = record(results, "rte", f"merge.theseus.transplant.{PAIR}", 0)["cost"]
    assert small["train_flops_parts"].items() <= merged["train_flops_parts"].items()
    assert any(name.startswith("calibrate.") for name in merged["train_flops_parts"])
    assert merged["train_flops"] == sum(merged["train_flops_parts"].values()) > small["train_flops"]
    assert record(results, "rte", f"merge.logit_ensemble.{PAIR}", 0)["cost"]["inference_flops"] == pytest.approx(
        small["inference_flops"] + record(results, "rte", "probe.mean.large", "all")["cost"]["inference_flops"]
    )


def test_the_planned_flops_are_those_that_the_runs_record(finished, tmp_path, monkeypatch):
    results, _, values = finished
    # Every word of pico GLUE is one token.
    monkeypatch.setattr(sizes, "TOKENS_PER_WORD", 1.0)
    grid = Grid(parse(values))
    counted = sizes_of(grid, Paths(tmp_path))
    planned = {work.name: work.flops for step in graph.of_study(grid) for work in step.work(counted)}
    recorded = {}
    for path in results.glob("runs/*/*/*/run.json"):
        run = json.loads(path.read_text())
        recorded |= run["cost"]["train_flops_parts"]
        passes = run["cost"]["inference_flops_real"] * run["metrics"][run["primary_metric"]]["n"]
        # Which cut of a stitch is chosen, and so what runs, is not known before.
        close = 0.5 if "merge.stitch." in run["system"] else 0.01
        known = planned[f"evaluate/{path.parent.relative_to(results / 'runs')}"]
        if run["system"].startswith("probe.layers."):
            # How many layers run is not known either: at most all.
            assert 0 < passes <= known
        else:
            assert known == pytest.approx(passes, rel=close)
    # A head's share of the embedding, which is computed once for all of them.
    shares = {name for name in recorded if name.startswith("embed.") and name.count("/") == 2}
    assert len(recorded) > 30 and shares
    known = recorded.keys() - shares
    assert "pretrain.undistilled" in known
    for name in known:
        about = name.endswith("/train") or name.startswith("pretrain.")
        assert planned[name] == pytest.approx(recorded[name], rel=0.1 if about else 0), name


def test_every_step_has_left_its_log_and_its_output_where_it_is_looked_for(finished):
    results, _, values = finished
    paths = Paths(results)
    for step in graph.of_study(Grid(parse(values))):
        assert step.log(paths).is_file(), step
        assert step.temporary != step.output(paths).exists(), step


def test_every_system_with_a_model_has_its_costs_and_one_architecture_one_measurement(finished):
    results, _, _ = finished
    table = pd.read_csv(results / "tables" / "cost.csv").set_index(["task", "system"])
    assert table.groupby("task").size().to_dict() == {"rte": 47, "sst2": 2, "stsb": 24}
    running = table.drop(("rte", "majority"))
    for column in ("latency_p50_seconds", "examples_per_second", "inference_peak_memory_bytes", "wall_seconds"):
        assert (running[column] > 0).all(), column
    assert (running["latency_p50_seconds"] <= running["latency_p90_seconds"]).all()
    assert table.loc[("rte", "majority"), ["latency_p50_seconds", "architecture"]].isna().all()
    assert (running["device"] == "cpu").all() and (running["threads"] == 1).all()
    # What is one architecture computes as much, and no other does.
    rte = running.loc["rte"]
    same = rte.groupby("architecture")[["inference_flops", "parameters", "latency_p50_seconds"]].nunique()
    assert (same == 1).all(axis=None) and len(same) == len(set(rte["latency_p50_seconds"])) > 10
    assert rte.loc[f"merge.theseus.labelled.{PAIR}", "architecture"] == rte.loc["finetune.large", "architecture"]
    for row in rte.itertuples():
        parts = [part.rsplit(" ", 1) for part in row.train_flops_parts.split("; ")]
        assert sum(int(flops) for _, flops in parts) == row.train_flops


def test_every_step_behind_every_number_is_found_and_is_the_configs(finished, monkeypatch):
    results, config, values = finished
    monkeypatch.chdir(config.parent)
    grid, paths = Grid(parse(values)), Paths.of("pico")
    for run in (*grid.runs, *grid.transfer_runs):
        for link in explaining.links(grid, paths, run):
            # States do not stay.
            state = "missing" if link.step.temporary and not link.output.is_file() else "done"
            assert link.state == state and link.log.is_file() and link.depends_on, (run.id, link)
    assert (results / "tables" / "transfer.csv").is_file()


@pytest.mark.parametrize(
    ("task", "system", "shown"),
    [
        ("rte", f"merge.theseus.labelled.{PAIR}", ("strength", "sweep rte theseus", "calibration.tokens")),
        ("snli.from-rte", "finetune.large", ("the model of rte/finetune.large/seed-0", "transfer.csv")),
    ],
)
def test_a_number_is_explained_on_the_command_line(finished, task, system, shown):
    results, config, _ = finished
    done = call(config.parent, "graft", "explain", "pico", task, system, "0")
    assert done.returncode == 0, done.stderr
    value = record(results, task, system, 0)["metrics"]["accuracy"]["value"]
    predictions = files.sha256(results / "runs" / task / system / "seed-0" / "predictions.parquet")
    for text in (formats.score(value), predictions, *shown):
        assert text in done.stdout, text


def test_control_models_carry_what_their_making_took(finished):
    results, _, _ = finished
    taken = {
        model: json.loads((results / "models" / model / "manifest.json").read_text())["pretraining_flops"]
        for model in ("small", "untrained", "undistilled")
    }
    assert taken["small"] == taken["untrained"] == 0 < taken["undistilled"]
    for model in ("untrained", "undistilled"):
        for system in (f"finetune.{model}", f"control.other-small.spacewise.labelled.{model}-into-large"):
            run = record(results, "rte", system, 0)
            assert run["kind"] == "control" and run["cost"]["pretraining_flops"] == taken[model]
            assert run["cost"]["train_flops_parts"].get(f"pretrain.{model}", 0) == taken[model]


def test_systems_are_evaluated_on_other_data_sets_as_they_were_made(finished, pico_others):
    results, _, _ = finished
    table = pd.read_csv(results / "tables" / "transfer.csv").set_index(["task", "system"])
    comparison = pd.read_csv(results / "tables" / "comparison.csv")
    assert list(table.reset_index().columns) == list(comparison.columns)
    systems = {
        "imdb.from-sst2": {"finetune.large", "finetune.small"},
        "snli.from-rte": {"finetune.large", "finetune.small", "majority", f"merge.spacewise.labelled.{PAIR}"}
        | {f"merge.logit_ensemble.{PAIR}"},
    }
    assert set(table.index) == {(task, system) for task, found in systems.items() for system in found}
    assert (
        set(comparison["task"]) == set(pd.read_csv(results / "tables" / "runs.csv")["task"]) == {"rte", "sst2", "stsb"}
    )
    # Neutral and contradiction are not entailment; the unlabelled are left out.
    right = {"imdb.from-sst2": {0: 0, 1: 1}, "snli.from-rte": {0: 0, 1: 1, 2: 1}}
    for (task, system), row in table.iterrows():
        published = (
            pd.read_parquet(pico_others / task.split(".")[0] / "test.parquet")["label"].map(right[task]).dropna()
        )
        (folder,) = (results / "runs" / task / system).iterdir()
        run = json.loads((folder / "run.json").read_text())
        assert not (folder / "model").exists() and run["task"] == task
        predictions = pd.read_parquet(folder / "predictions.parquet")
        assert [int(name.removeprefix("test-")) for name in predictions["id"]] == list(published.index)
        value = (predictions[["logit_0", "logit_1"]].to_numpy().argmax(1) == published.to_numpy()).mean()
        assert value == pytest.approx(row["mean"], abs=1e-12) and run["metrics"]["accuracy"]["n"] == len(published)
        made = json.loads((results / "runs" / task.split("from-")[1] / system / folder.name / "run.json").read_text())
        for same in ("choices", "select", "hyperparameters"):
            assert run[same] == made[same]
        assert run["provenance"]["model_sha256"] == made["provenance"]["model_sha256"]
        assert run["cost"]["train_flops_parts"] == made["cost"]["train_flops_parts"]
        assert run["provenance"]["fingerprint"] != made["provenance"]["fingerprint"]
    assert table.loc[("snli.from-rte", f"merge.spacewise.labelled.{PAIR}"), "delta_vs_reference"] == pytest.approx(
        table.loc[("snli.from-rte", f"merge.spacewise.labelled.{PAIR}"), "mean"]
        - table.loc[("snli.from-rte", "finetune.large"), "mean"]
    )
    rows = json.loads((results / "data" / "snli.from-rte" / "manifest.json").read_text())["rows"]
    assert rows["published"] == 50 and 0 < rows["dropped_since_unlabelled"] == 50 - rows["report"]


def test_report_labels_stand_nowhere_but_in_their_own_file(finished):
    results, _, _ = finished
    assert "label" not in pd.read_parquet(results / "data" / "rte" / "report.parquet")
    assert set(pd.read_parquet(results / "data" / "rte" / "report_labels.parquet")) == {"id", "label"}


def test_a_second_call_runs_nothing(finished):
    _, config, _ = finished
    assert "Nothing to be done" in snakemake(config.parent, config).stdout


def test_a_new_strength_grid_runs_that_method_alone(finished, tmp_path):
    _, config, values = finished
    folder = copied(config.parent, tmp_path / "copy")
    changed = json.loads(json.dumps(values))
    changed["systems"]["merge"]["theseus"]["strengths"] = [0, 5]
    other = folder / "changed.json"
    other.write_text(json.dumps(changed))
    before = time.time()
    done = snakemake(folder, other)
    assert done.returncode == 0, done.stdout[-3000:]
    steps = made_since(before, changed, folder)
    # What theseus reads does not stay; no transfer is of theseus.
    own = {step for step in steps if step.rule in ("sweep", "merge_models", "evaluate")}
    tables = {"gather", "compare", "tabulate_costs", "plot", "report", "keep_models", "transfer"}
    assert {step.rule for step in steps - own} <= {*tables, "embed_task", "calibrate"}
    assert {step.rule for step in own} == {"sweep", "merge_models", "evaluate"}
    assert all("theseus" in str(step) for step in own)


@pytest.fixture
def stale(finished):
    """The finished study with one run.json of another config."""
    results, config, _ = finished
    path = results / "runs" / "rte" / "majority" / "seed-all" / "run.json"
    original = path.read_text()
    path.write_text(original.replace(json.loads(original)["provenance"]["fingerprint"], "0" * 16))
    yield config.parent, path.relative_to(config.parent)
    path.write_text(original)


def test_gather_refuses_a_stale_run_in_one_line(stale):
    folder, path = stale
    done = call(folder, "workflow_scripts.gather", "--study", "results/pico/study.json")
    assert done.returncode == 1
    assert str(path) in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_tables_of_what_there_is_count_a_stale_run_as_missing_and_name_it(stale):
    folder, path = stale
    done = call(folder, "graft", "tables", "pico")
    assert done.returncode == 0 and str(path) in done.stderr
    table = pd.read_csv(folder / "results" / "pico" / "tables" / "comparison.csv")
    assert table.set_index(["task", "system"]).loc[("rte", "majority"), "n_missing"] == 1
    # Snakemake did not make these, so it makes them anew.
    assert "gather" in snakemake(folder, folder / "config.json", "--dry-run").stdout


def test_a_merge_refuses_a_model_of_another_config_and_makes_such_states_again(finished, tmp_path, monkeypatch):
    _, config, values = finished
    monkeypatch.chdir(copied(config.parent, tmp_path / "copy"))
    grid, paths = Grid(parse(values)), Paths.of("pico")
    step = making(grid, "rte", f"control.head-only.transplant.{PAIR}", 0)
    for needed in step.inputs(grid):
        working.provide(needed, grid, paths, program.make)
    for made in ("embeddings/rte/large/manifest.json", "runs/rte/finetune.small/seed-0/build.json"):
        path = paths.root / made
        original = path.read_text()
        path.write_text(original.replace(json.loads(original)["fingerprint"], "0" * 16))
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}: made by another config"):
        working.do(step, grid, paths, program.make)
    assert EmbedTask("rte", "large").is_done(grid, paths)


@pytest.mark.parametrize(("command", "shown"), [("show", "merge.theseus.labelled"), ("status", "done")])
def test_the_command_line_shows_the_study(finished, command, shown):
    _, config, _ = finished
    done = call(config.parent, "graft", command)
    assert done.returncode == 0 and shown in done.stdout, done.stderr


def test_budget_points_pay_for_their_trials_and_their_head_and_for_nothing_of_a_merge(finished):
    results, _, values = finished
    grid = Grid(parse(values))
    head = record(results, "rte", f"control.head-only.labelled.{PAIR}", "all")["cost"]["train_flops_parts"]
    for system, start in (("budget.new.1-2.large", {}), ("budget.closed-form.1-2.large", head)):
        run, trials = record(results, "rte", system, 0), grid.rate_trials(grid.systems[system])
        made = [f"{name}/rte/seed-{seed}" for name, seed in [*trials, (system, 0)]]
        own = {f"{one}/{part}" for one in made for part in ("train", "select")}
        parts = run["cost"]["train_flops_parts"]
        assert parts.keys() == own | start.keys() and run["cost"]["train_flops"] == sum(parts.values())
        (choice,) = run["choices"]
        assert choice["name"] == "learning_rate" and len(choice["searched"]) == len(trials) == 3


def test_warm_starts_go_on_from_their_arms_and_stand_in_a_table_of_their_own(finished):
    results, _, _ = finished
    table = pd.read_csv(results / "tables" / "warm-start.csv")
    assert table[table["task"] == "rte"].groupby("arm")["steps"].apply(list).to_dict() == {
        "random-head": [3, 20],
        **{arm: [0, 3, 20] for arm in ("closed-form-head", "merged", "shuffled")},
    }
    starts = {"merged": f"merge.spacewise.labelled.{PAIR}", "shuffled": f"control.shuffled.spacewise.labelled.{PAIR}"}
    small = record(results, "rte", "finetune.small", 0)["cost"]["train_flops"]
    for arm, name in starts.items():
        run = record(results, "rte", f"warm-start.{arm}.3.spacewise.labelled.{PAIR}", 0)
        assert record(results, "rte", name, 0)["cost"]["train_flops_parts"].items() <= set(
            run["cost"]["train_flops_parts"].items()
        )
        assert [choice["name"] for choice in run["choices"]] == ["learning_rate", "epoch"]
        folder = results / "runs" / "rte" / f"warm-start.{arm}.3.spacewise.labelled.{PAIR}" / "seed-0"
        assert {log.stem for log in folder.glob("*.jsonl")} == {"training-rate-1", "training-rate-3"}
        row = table[(table["task"] == "rte") & (table["arm"] == arm) & (table["steps"] == 3)].iloc[0]
        assert row["train_flops"] - row["without_small"] == small


def test_composites_that_train_keep_the_large_model_as_it_was(finished):
    results, _, _ = finished
    before = json.loads((results / "models" / "large" / "manifest.json").read_text())["sha256"]["model.safetensors"]
    for method in ("side_tuning", "ladder", "calm"):
        folder = results / "runs" / "rte" / f"merge.{method}.{PAIR}" / "seed-0" / "model"
        parts = json.loads((folder / "composite.json").read_text())
        found = {(folder / name).resolve(): value for name, value in parts["sha256"].items()}
        assert found[(results / "models" / "large" / "model.safetensors").resolve()] == before
        run = record(results, "rte", f"merge.{method}.{PAIR}", 0)
        assert [point["value"] for point in run["choices"][0]["searched"]][0] == 0


def test_a_saved_system_scores_on_select_what_it_was_chosen_by(finished, monkeypatch):
    results, config, values = finished
    monkeypatch.chdir(config.parent)
    grid, paths = Grid(parse(values)), Paths.of("pico")
    checked = set()
    for run in grid.runs:
        folder, model = paths.run(run.task, run.system.name, run.seed), grid.reads_as(run.system)
        expected = json.loads((folder / "build.json").read_text())["select"]
        if expected is None:
            continue
        tokens, labels = runs.tokens(grid, paths, run.task, model, "select"), runs.labels(paths, run.task, "select")
        logits = inference.run(load(folder / "model").logits, tokens, grid.max_tokens(run.task, model))
        score = metrics.primary(logits, labels, grid.row(run.task))
        # Ladders and links are scored on states of half precision, which may turn one answer.
        turned = run.system.method in ("ladder", "calm")
        assert score == pytest.approx(expected["value"], abs=1.5 / len(labels) if turned else 1e-4), run.id
        checked.add(run.system.method or run.system.program)
    assert len(checked) > 15


MAKE_ALL = """
from graft.config.study import load
from graft.study import program, working
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps.making import making
paths = Paths.of("pico")
grid = Grid(load(paths.study))
for run in grid.runs:
    working.provide(making(grid, *run.made), grid, paths, program.make)
"""


def test_no_choice_and_no_weight_depends_on_report(finished, tmp_path):
    """The study is made once more where report cannot be read; evaluations alone then see it, with the other labels."""
    results, _, values = finished
    config, copy = tmp_path / "config.json", tmp_path / "results" / "pico"
    for part in ("data", "tokens", "models/large", "models/small"):
        shutil.copytree(results / part, copy / part)
    report = [*copy.glob("data/*/report*.parquet"), *copy.glob("tokens/*/*/report.*.npy")]
    whole = {path: path.read_bytes() for path in report}
    assert len(whole) > 10
    for path in report:
        path.write_bytes(b"nothing but evaluate may read this")
    values = {**values, "include": ["rte/*"], "transfer": {}, "cost": {"measure": False}}
    config.write_text(json.dumps(values))
    files.write_json(copy / "study.json", parse(values).model_dump(mode="json", by_alias=True))
    runs = Grid(parse(values)).runs
    made = subprocess.run([sys.executable, "-c", MAKE_ALL], cwd=tmp_path, env=environment(), capture_output=True)
    assert made.returncode == 0, made.stderr[-3000:]
    builds = {path.relative_to(copy): path.read_bytes() for path in copy.glob("runs/*/*/*/build.json")}
    assert len(builds) >= len(runs)
    for path, made in builds.items():
        own, first = (json.loads(text) for text in (made, (results / path).read_bytes()))
        for build in (own, first):
            del build["measured"], build["provenance"]
        # Choices with every score, the score on select, FLOPs, and the weights by sha256.
        assert own == first, path
    for path, content in whole.items():
        path.write_bytes(content)
    answers = copy / "data" / "rte" / "report_labels.parquet"
    table = pd.read_parquet(answers)
    table.assign(label=1 - table["label"]).to_parquet(answers, index=False)
    jobs = [Job.of("make_probes", {"task": "rte"})]
    jobs += [Job.of("make_systems", {"task": "rte", "seed": seed}) for seed in (0, "all")]
    done = snakemake(tmp_path, config, "--", *(str(job.marker(Paths.of("pico"))) for job in jobs))
    assert done.returncode == 0, done.stdout[-3000:]
    assert not (copy / "logs" / "download_task").exists() and not (copy / "logs" / "tokenize_task").exists()
    some = [path.relative_to(tmp_path) for path in sorted(copy.glob("runs/*/*/*/run.json"))]
    assert len(some) > 25
    assert builds == {path.relative_to(copy): path.read_bytes() for path in copy.glob("runs/*/*/*/build.json")}
    for path in some:
        own, first = (records.read(folder / path) for folder in (tmp_path, results.parents[1]))
        assert own.primary.value == pytest.approx(1 - first.primary.value)
        own, first = (records.without_measured(run) for run in (own, first))
        for run in (own, first):
            # Predictions stand beside their labels.
            del run["metrics"], run["provenance"]["predictions_sha256"]
        assert own == first
