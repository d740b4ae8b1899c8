"""Each way to fine-tune a system of a study: where it starts, what it learns from, how long, and what it took."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from graft.config.study import TRIAL_SEEDS
from graft.flops.counts import classifier_flops
from graft.making.finetunings import Tuning, tune
from graft.registry.shapes import Shape
from graft.study import runs
from graft.study.accounts import account
from graft.study.steps.making import making
from tests.unit.making.conftest import PAIR

MERGE = f"merge.spacewise.labelled.{PAIR}"
HEADED = {"strengths": [0, 1], "heads": ["labelled"], "map_ridge": 0.1, "depth": "spread", "fit_rows": 64}
SYSTEMS = {
    "lora": {"learning_rate": 0.01, "epochs": 2, "rank": 2},
    "distil": {},
    "weak-to-strong": {"rows": 20},
    "budget": {"fractions": ["1/2", "1/4"], "rates": [1, 3], "seeds": 2},
    "merge": {"spacewise": HEADED},
    "control": {"shuffled": {"of": ["spacewise"]}, "head-only": {"heads": ["labelled"], "fit_rows": 64}},
    "warm-start": {"merge": "spacewise", "steps": [3], "rates": [3.0, 1.0]},
}
LORA, DISTIL, WEAK = "lora.large", "distil.small-from-large", "weak-to-strong.small-to-large"
NEW, CLOSED = "budget.new.1-2.large", "budget.closed-form.1-2.large"


@pytest.fixture(scope="module")
def study(make):
    return make(SYSTEMS, ("finetune.*", "lora.*", "distil.*", "weak-to-strong.*", "budget.*.1-2.*", "warm-start.*"))


def parts_of(study, name, seed=0):
    return study.built(name, seed)["train_flops_parts"]


def test_every_saved_model_has_the_score_by_which_its_epoch_was_chosen(study):
    names = [run.system.name for run in study.grid.runs if run.task == "rte" and study.folder(run.system.name).is_dir()]
    assert {LORA, DISTIL, WEAK, NEW, CLOSED, "finetune.large", "finetune.small"} < set(names)
    for name in names:
        if study.built(name)["choices"] and study.grid.systems[name].merge is None:
            built = study.built(name)
            assert study.score(study.logits(name)) == pytest.approx(built["select"]["value"], abs=1e-6), name
            assert built["choices"][-1]["chosen"] in [p["value"] for p in built["choices"][-1]["searched"]], name


def test_adapters_changed_the_matrices_that_they_are_for_by_their_rank_and_the_head(study, pico_models):
    before, after = (load_file(f / "model.safetensors") for f in (pico_models / "large", study.folder(LORA)))
    changed = {name for name, tensor in before.items() if not tensor.equal(after[f"bert.{name}"])}
    layers = {f"encoder.layer.{i}.attention.self.{kind}.weight" for i in range(4) for kind in ("query", "value")}
    assert changed == layers | {"pooler.dense.weight", "pooler.dense.bias"}
    for name in layers:
        assert torch.linalg.matrix_rank(after[f"bert.{name}"] - before[name], rtol=1e-3) == 2, name
    assert study.built(LORA)["hyperparameters"]["learning_rate"] == 0.01
    assert [point["value"] for point in study.built(LORA)["choices"][-1]["searched"]] == [1, 2]


def test_a_student_is_taught_by_the_fine_tuned_large_model_and_a_weak_teacher_is_the_small_one(study):
    for student, teacher, rows in ((DISTIL, "finetune.large", None), (WEAK, "finetune.small", 20)):
        built, train = study.built(student), runs.labels(study.paths, "rte", "train")
        assert built["hyperparameters"]["teacher"] == teacher
        assert built["hyperparameters"]["rows"] == (rows or len(train))
        assert study.built(teacher)["train_flops_parts"].items() < built["train_flops_parts"].items()


def test_a_teacher_answers_each_row_that_its_student_learns_from_once(study):
    longest = study.grid.max_tokens("rte", "large")
    tokens = runs.tokens(study.grid, study.paths, "rte", "large", "train")
    shape = Shape.of(study.paths.model("large"))
    asked = parts_of(study, DISTIL)[f"{DISTIL}/rte/seed-0/teacher"]
    exact = sum(classifier_flops(shape, int(length), 2) for length in tokens.lengths(longest))
    # Batches are padded to their longest row.
    assert exact <= asked < 1.2 * exact
    # 20 rows of a small teacher, which is a fraction of that.
    assert parts_of(study, WEAK)[f"{WEAK}/rte/seed-0/teacher"] < asked * 20 / len(tokens)


def test_a_student_does_not_see_labels(make):
    """With the labels of train in another order they come to the same."""
    name = DISTIL
    other = make({"distil": {}}, (name,))
    data = other.paths.data("rte") / "train.parquet"
    table = pd.read_parquet(data)
    table.assign(label=np.random.default_rng(0).permutation(table["label"])).to_parquet(data)
    tuning = Tuning(other.grid, other.paths, "rte", other.grid.systems[name], 0, data.with_name("training.jsonl"))
    again = tune(tuning, lambda *_: None).model.state_dict()
    saved = load_file(other.folder(name) / "model.safetensors")
    assert all(torch.equal(again[key], saved[key]) for key in saved)


def log_of(study, name, seed=0):
    lines = (study.paths.run("rte", name, seed) / "training.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def whole(study):
    """Optimizer steps of the fine-tuning of which a budget is a fraction."""
    return -(-len(runs.labels(study.paths, "rte", "train")) // 16)


def test_a_budget_is_a_fraction_of_the_steps_with_a_schedule_of_its_own(study, whole):
    for name in (NEW, CLOSED):
        settings = study.built(name)["hyperparameters"]
        assert settings["steps"] == round(settings["fraction"] * whole) == round(whole / 2) < whole
        # It rises and falls as in full, within these steps, and is scored once, at their end.
        assert settings["warmup_steps"] == math.ceil(0.1 * settings["steps"])
        assert settings["schedule"].endswith("linear decay to 0")
        scored = [line["select"] for line in log_of(study, name) if "select" in line]
        assert scored == [study.built(name)["select"]["value"]]
        assert [choice["name"] for choice in study.built(name)["choices"]] == ["learning_rate"]


def test_a_budgets_rate_is_the_best_of_its_trials_with_seeds_of_their_own(study):
    for name in (NEW, CLOSED):
        built, scores = study.built(name), {}
        for trial, seed in study.grid.rate_trials(study.grid.systems[name]):
            assert seed >= TRIAL_SEEDS and not list(study.folder(trial, seed).iterdir())
            made = study.built(trial, seed)
            scores.setdefault(made["hyperparameters"]["learning_rate"], []).append(made["select"]["value"])
        (choice,) = built["choices"]
        assert [*scores] == [point["value"] for point in choice["searched"]] == pytest.approx([1e-3, 3e-3])
        assert [point["score"] for point in choice["searched"]] == pytest.approx([np.mean(s) for s in scores.values()])
        best = max(choice["searched"], key=lambda point: point["score"])
        assert best["value"] == choice["chosen"] == built["hyperparameters"]["learning_rate"]


def test_a_budget_costs_its_training_its_head_and_all_of_its_trials(study, whole):
    head = parts_of(study, "control.head-only.labelled.small-into-large", "all")
    full = parts_of(study, "finetune.large")["finetune.large/rte/seed-0/train"]
    for name, start in ((NEW, {}), (CLOSED, head)):
        trials = study.grid.rate_trials(study.grid.systems[name])
        own = [
            f"{system}/rte/seed-{seed}/{part}" for system, seed in [*trials, (name, 0)] for part in ("train", "select")
        ]
        found = parts_of(study, name)
        assert found.keys() == {*start, *own} and len(own) == 2 * (2 * 2 + 1)
        assert start.items() <= found.items()
        for trial in trials:
            assert parts_of(study, *trial).items() <= found.items()
        trained = found[f"{name}/rte/seed-0/train"]
        # Batches differ in length.
        assert trained == pytest.approx(full * round(whole / 2) / whole, rel=0.3)
        step = making(study.grid, "rte", name, 0)
        assert account(study.grid, study.paths, step).whole == sum(found.values())


def warm(arm):
    return f"warm-start.{arm}.3.spacewise.labelled.{PAIR}"


def test_a_warm_start_takes_its_steps_at_each_rate_and_keeps_the_best(study):
    built = study.built(warm("merged"))
    rate, _ = built["choices"]
    assert rate["name"] == "learning_rate" and [point["value"] for point in rate["searched"]] == [3e-3, 1e-3]
    best = max(rate["searched"], key=lambda point: point["score"])
    assert built["select"]["value"] == best["score"] and built["hyperparameters"]["learning_rate"] == rate["chosen"]
    logs = sorted(study.paths.run("rte", warm("merged"), 0).glob("*.jsonl"), reverse=True)
    assert [log.stem for log in logs] == ["training-rate-3", "training-rate-1"]
    ends = [[json.loads(line) for line in log.read_text().splitlines()][-1] for log in logs]
    assert [end["select"] for end in ends] == [point["score"] for point in rate["searched"]]


def test_a_warm_start_costs_its_start_and_the_training_at_all_rates(study):
    merged, random = (parts_of(study, warm(arm)) for arm in ("merged", "random-head"))
    assert parts_of(study, MERGE).items() < merged.items()
    assert random.keys() == {f"{warm('random-head')}/rte/seed-0/{part}" for part in ("train", "select")}
    # The same rows in the same order, and a head that is pooled alike.
    own = merged[f"{warm('merged')}/rte/seed-0/train"]
    assert own == random[f"{warm('random-head')}/rte/seed-0/train"]
    steps = [p for p in parts_of(study, "finetune.large").items() if p[0].endswith("/train")]
    batches = -(-len(runs.labels(study.paths, "rte", "train")) // 16)
    assert own == pytest.approx(2 * 3 / batches * steps[0][1], rel=0.3)


def test_a_search_of_hyperparameters_is_recorded_and_paid_for_by_what_uses_it(make):
    made = make({}, ("finetune.small",), grid={"learning_rate": [1e-4, 3e-3], "seeds": 2})
    built = made.built("finetune.small")
    search, epoch = built["choices"]
    assert (search["name"], epoch["name"]) == ("hyperparameters", "epoch") and len(search["searched"]) == 2
    scores = {}
    for name, seed in made.grid.trials("rte", "small"):
        trial = made.built(name, seed)
        assert trial["train_flops_parts"].items() < built["train_flops_parts"].items()
        scores.setdefault(name, []).append(trial["select"]["value"])
        # Only its score is used.
        assert not list(made.folder(name, seed).iterdir())
    assert [point["score"] for point in search["searched"]] == pytest.approx([np.mean(s) for s in scores.values()])
    best = max(scores, key=lambda name: np.mean(scores[name]))
    assert best.endswith(search["chosen"])
    rate = made.grid.systems[best].settings.learning_rate
    assert built["hyperparameters"]["learning_rate"] == rate
