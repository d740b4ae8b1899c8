"""A study with soups and with encoders of all tasks, run once."""

import json
import time
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from graft.config.study import MEMBER_SEEDS, parse
from graft.io import files
from graft.making.one_shape import multitask, soups
from graft.making.one_shape.combination import Combination
from graft.planning import sizes
from graft.planning.sizes import sizes_of
from graft.study import program, records, working
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps import graph
from graft.study.steps.making import making
from graft.study.steps.merge_encoders import MergeEncoders
from tests.conftest import study_values
from tests.workflow.conftest import copied, made_since, snakemake

SOUPS = ("uniform", "greedy", "ties", "fisher")
ENCODERS = ("task_arithmetic", "regmean")
NAMES = {"soup": SOUPS, "multitask": ENCODERS}


@pytest.fixture(scope="module")
def finished(pico_glue, pico_models, tmp_path_factory):
    """Results, config and its values: two tasks, three members of soups, one seed."""
    folder = tmp_path_factory.mktemp("combined")
    values = study_values(pico_glue, pico_models, seeds=1, exclude=["*/finetune.small/*", "stsb/soup.*"])
    del values["tasks"]["sst2"]
    values["systems"] = {
        "soup": {"members": 3, "methods": {name: {} for name in SOUPS}},
        "multitask": {"methods": {"task_arithmetic": {"strengths": [0.3, 1.0]}, "regmean": {}}},
    }
    values["systems"]["joint"] = {"epochs": 2}
    values["systems"]["soup"]["methods"]["ties"] = {"strengths": [0.5, 1.0, 1.5]}
    values["calibration"]["examples"] = 16
    values |= {"cost": {"measure": False}, "keep": ["*"]}
    config = folder / "config.json"
    config.write_text(json.dumps(values))
    done = snakemake(folder, config)
    assert done.returncode == 0, done.stdout[-3000:]
    return folder / "results" / "pico", config, values


def run_of(results, task, system, seed="all"):
    return results / "runs" / task / system / f"seed-{seed}"


def record(results, *run):
    return records.read(run_of(results, *run) / "run.json")


def test_soups_have_a_row_of_one_run_and_encoders_one_of_every_seed(finished):
    results, _, _ = finished
    table = pd.read_csv(results / "tables" / "comparison.csv").set_index(["task", "system"])
    soups, encoders = ([f"{kind}.{n}.large" for n in names] for kind, names in NAMES.items())
    rows = {(task, name) for task in ("rte", "stsb") for name in ("finetune.large", "joint.large", *encoders)}
    assert set(table.index) == rows | {("rte", name) for name in soups}
    assert (table["n_seeds"] == 1).all() and (table["n_missing"] == 0).all()
    assert set(table["kind"]) == {"finetune", "soup", "multitask"} and set(table["label_use"]) == {"train"}
    assert table["mean"].notna().all() and (table["inference_flops_ratio"] == 1).all()
    ratios = table["train_flops_ratio"].unstack("task")
    # Three members of a fine-tuning's size; both tasks' fine-tunings, which are of one size here.
    assert ratios.loc[soups, "rte"].between(3, 3.4).all()
    assert ratios.loc[encoders].stack().between(2, 2.2).all()
    # As many epochs of both tasks, and the best one scored once more.
    assert ratios.loc["joint.large"].between(2, 2.1).all()


def test_training_flops_are_those_of_all_that_is_merged_as_planned(finished, tmp_path, monkeypatch):
    results, _, values = finished
    monkeypatch.setattr(sizes, "TOKENS_PER_WORD", 1.0)
    grid = Grid(parse(values))
    counted = sizes_of(grid, Paths(tmp_path))
    planned = {work.name: work.flops for step in graph.of_study(grid) for work in step.work(counted)}
    for run in grid.runs:
        found = record(results, run.task, run.system.name, run.seed).cost
        assert found.train_flops == sum(found.train_flops_parts.values())
        for name, flops in found.train_flops_parts.items():
            # How many members a greedy soup's averages have, and how texts of two tasks mix, is not known before.
            if name == "joint.large/seed-0/train":
                assert planned[name] == pytest.approx(flops, rel=0.03)
            else:
                assert planned[name] == flops or "soup.greedy" in name and "/merge" in name, name
    fisher = record(results, "rte", "soup.fisher.large").cost.train_flops_parts
    for seed in range(MEMBER_SEEDS, MEMBER_SEEDS + 3):
        assert {f"member.large/rte/seed-{seed}/train", f"fisher.member.large/rte/seed-{seed}"} < set(fisher)
    one, other = (record(results, task, "multitask.regmean.large", 0).cost for task in ("rte", "stsb"))
    # What tasks share is made once, and has one name.
    assert one.train_flops_parts == other.train_flops_parts
    assert {"multitask.regmean.large/seed-0/merge", "finetune.large/stsb/seed-0/train"} < set(one.train_flops_parts)


def test_the_planned_disk_is_what_statistics_and_encoders_take(finished, tmp_path, monkeypatch):
    _, config, values = finished
    monkeypatch.chdir(copied(config.parent, tmp_path / "copy"))
    grid, paths = Grid(parse(values)), Paths.of("pico")
    counted, seen = sizes_of(grid, Paths(tmp_path)), set()
    for step in graph.of_study(grid):
        if step.rule in ("model_statistics", "merge_encoders"):
            working.provide(step, grid, paths, program.make)
            folder = step.output(paths).parent
            found = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
            # Beside the numbers a file has their names.
            assert 0 < found - step.bytes(counted) < 10_000, step
            seen.add(step.rule)
    assert len(seen) == 2


def test_members_have_one_first_head_and_are_no_runs(finished):
    results, _, values = finished
    assert not pd.read_csv(results / "tables" / "runs.csv")["system"].str.startswith("member").any()
    members = sorted((results / "runs" / "rte").glob("member.large/seed-*"))
    assert [folder.name for folder in members] == [f"seed-{MEMBER_SEEDS + i}" for i in range(3)]
    assert not any((folder / "run.json").exists() for folder in members)
    states = [load_file(folder / "model" / "model.safetensors") for folder in members]
    differences = [(states[0]["classifier.weight"] - s["classifier.weight"]).abs().max() for s in states[1:]]
    # Two new heads are apart by about what they are drawn with, 0.2, which so short a fine-tuning does not mend.
    assert all(0 < difference < 0.1 for difference in differences)


def test_a_uniform_soup_is_the_mean_of_its_members(finished):
    results, _, _ = finished
    members = [load_file(f / "model.safetensors") for f in results.glob("runs/rte/member.large/seed-*/model")]
    soup = load_file(run_of(results, "rte", "soup.uniform.large") / "model" / "model.safetensors")
    assert soup.keys() == members[0].keys()
    for name, tensor in soup.items():
        mean = torch.stack([member[name].double() for member in members]).mean(dim=0)
        assert torch.allclose(tensor.double(), mean, atol=1e-6), name


@pytest.mark.parametrize(
    ("task", "system", "seed"),
    [("rte", "soup.ties.large", "all"), ("rte", "soup.fisher.large", "all"), ("stsb", "multitask.regmean.large", 0)],
)
def test_saved_models_load_with_plain_hugging_face_and_give_the_predictions(finished, task, system, seed, pico_glue):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    results, _, _ = finished
    run = run_of(results, task, system, seed)
    model = AutoModelForSequenceClassification.from_pretrained(run / "model").eval()
    texts = pd.read_csv(pico_glue / {"rte": "RTE", "stsb": "STS-B"}[task] / "dev.tsv", sep="\t")
    batch = AutoTokenizer.from_pretrained(run / "model")(
        texts["sentence1"].tolist(), texts["sentence2"].tolist(), padding=True, return_tensors="pt"
    )
    with torch.inference_mode():
        logits = model(**batch).logits.numpy()
    stored = pd.read_parquet(run / "predictions.parquet")
    columns = ["logit_0", "logit_1"] if task == "rte" else ["score"]
    assert np.abs(logits - stored[columns].to_numpy()).max() < 1e-5
    card = (run / "model" / "README.md").read_text()
    assert "graft-tmp" not in card and ("member.large" if seed == "all" else "finetune.large") in card


def test_tasks_share_an_encoder_and_keep_their_heads(finished):
    results, _, _ = finished
    for name in ENCODERS:
        models = {task: run_of(results, task, f"multitask.{name}.large", 0) / "model" for task in ("rte", "stsb")}
        rte, stsb = (load_file(folder / "model.safetensors") for folder in models.values())
        own = load_file(run_of(results, "stsb", "finetune.large", 0) / "model" / "model.safetensors")
        for tensor in stsb:
            if tensor.startswith(multitask.HEAD):
                assert torch.equal(stsb[tensor], own[tensor]), tensor
            else:
                assert torch.equal(stsb[tensor], rte[tensor]), tensor


def test_strengths_and_members_are_the_best_on_select(finished):
    results, _, _ = finished
    ties = record(results, "rte", "soup.ties.large")
    (choice,) = ties.choices
    assert [point.value for point in choice.searched] == [0.5, 1.0, 1.5]
    assert ties.select.value == max(point.score for point in choice.searched)
    (choice,) = (greedy := record(results, "rte", "soup.greedy.large")).choices
    scores = {tuple(point.value): point.score for point in choice.searched}
    assert len(scores) == 5 and greedy.select.value == scores[tuple(choice.chosen)]
    assert greedy.select.value >= max(score for members, score in scores.items() if len(members) == 1)
    assert greedy.hyperparameters["members"] == len(choice.chosen)
    (one,), (other,) = (record(results, t, "multitask.task_arithmetic.large", 0).choices for t in ("rte", "stsb"))
    assert one == other and one.metric == multitask.SHARE
    assert max(point.score for point in one.searched) == next(p.score for p in one.searched if p.value == one.chosen)
    assert record(results, "rte", "soup.uniform.large").choices == ()


@pytest.mark.parametrize("method", ["uniform", "fisher"])
def test_a_soup_of_one_model_several_times_is_that_model(finished, method, tmp_path, monkeypatch):
    _, config, values = finished
    monkeypatch.chdir(copied(config.parent, tmp_path / "copy"))
    grid, paths = Grid(parse(values)), Paths.of("pico")
    system = grid.systems[f"soup.{method}.large"]
    for step in making(grid, "rte", system.name, "all").inputs(grid):
        working.provide(step, grid, paths, program.make)
    one = Combination(grid, paths, "rte", system, "all", "cpu", lambda *_: None)
    one.sources = [one.sources[0]] * 3
    made = soups.soup(one, tmp_path / "model")
    own = load_file(one.sources[0].folder / "model.safetensors")
    found = load_file(tmp_path / "model" / "model.safetensors")
    assert found.keys() == own.keys() and all(torch.equal(found[name], own[name]) for name in own)
    assert made.scores["rte"] == pytest.approx(one.sources[0].made["select"]["value"])


def test_an_encoder_that_is_merged_again_is_the_same_to_the_last_bit(finished, tmp_path, monkeypatch):
    results, config, values = finished
    monkeypatch.chdir(copied(config.parent, tmp_path / "copy"))
    grid, paths = Grid(parse(values)), Paths.of("pico")
    for name in ENCODERS:
        step = MergeEncoders(f"multitask.{name}.large", 0)
        working.provide(step, grid, paths, program.make)
        system, first = grid.systems[step.system], step.output(paths).parent
        (tmp_path / system.name).mkdir()
        multitask.encoder(Combination(grid, paths, "", system, 0, "cpu", lambda *_: None), tmp_path / system.name)
        for file in ("encoder.safetensors", "README.md"):
            assert (first / file).read_bytes() == (tmp_path / system.name / file).read_bytes(), (name, file)
        encoder = load_file(first / "encoder.safetensors")
        model = load_file(run_of(results, "rte", step.system, 0) / "model" / "model.safetensors")
        shared = {key: tensor for key, tensor in model.items() if not key.startswith(multitask.HEAD)}
        assert encoder.keys() == shared.keys() and all(torch.equal(encoder[key], shared[key]) for key in shared), name


def test_every_step_has_left_its_log_and_its_output_and_no_scratch(finished):
    results, config, values = finished
    paths = Paths(results)
    for step in graph.of_study(Grid(parse(values))):
        assert step.log(paths).is_file(), step
        assert step.temporary != step.output(paths).exists(), step
    assert files.leftovers(results) == []
    again = snakemake(config.parent, config, "-n")
    assert "Nothing to be done" in again.stdout


def test_another_member_trains_one_more_and_merges_anew(finished, tmp_path):
    _, config, values = finished
    folder, values = copied(config.parent, tmp_path / "copy"), json.loads(json.dumps(values))
    values["systems"]["soup"]["members"] = 4
    more = folder / "more.json"
    more.write_text(json.dumps(values))
    before = time.time()
    done = snakemake(folder, more)
    assert done.returncode == 0, done.stdout[-3000:]
    counts = Counter(step.rule for step in made_since(before, values, folder))
    # Statistics do not stay: those of all members are computed again.
    assert counts["finetune_model"] == 1 and counts["model_statistics"] == counts["soup_models"] == 4
    assert "merge_encoders" not in counts and "multitask_models" not in counts
