"""One encoder that is fine-tuned on all tasks together, with columns of one output layer for each."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from graft.flops.counts import classifier_flops
from graft.making.joint import Together, joint_loss, places
from graft.planning.sizes import sizes_of
from graft.registry.shapes import Shape
from graft.registry.tasks import TaskRow
from graft.study import runs
from graft.study.steps import graph
from graft.study.steps.train_joint import TrainJoint
from graft.training.loss import loss_of
from tests.unit.programs import run

CLASSES = TaskRow(text=("text",), label="label", metrics=("accuracy",), labels=("a", "b", "c"))
SCORE = TaskRow(text=("text",), label="label", metrics=("pearson",), labels=None)
NAME = "joint.large"


def test_the_loss_is_the_mean_of_each_rows_own():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 4, generator=generator)
    wanted = torch.tensor([[0, 2], [1, 0.3], [0, 0], [1, 4.5], [0, 1]])
    first, second = logits[[0, 2, 4], :3], logits[[1, 3], 3:]
    own = [3 * loss_of(first, torch.tensor([2, 0, 1])), 2 * loss_of(second, torch.tensor([0.3, 4.5]))]
    assert joint_loss([CLASSES, SCORE])(logits, wanted) == pytest.approx(float(sum(own)) / 5)
    assert places([CLASSES, SCORE]) == [slice(0, 3), slice(3, 4)]


@pytest.fixture(scope="module")
def study(make):
    made = make({"joint": {"epochs": 3}}, (NAME,))
    for step in graph.of_study(made.grid):
        if step.rule in ("joint_models", "evaluate") and step.system == NAME and not step.output(made.paths).is_file():
            run(made.grid, made.paths, step)
    return made


@pytest.fixture(scope="module")
def splits(study):
    tasks = study.grid.study.tasks
    found = [runs.tokens(study.grid, study.paths, task, "large", "train") for task in tasks]
    return found, Together(found, [32, 6, 32])


def test_a_batch_of_several_tasks_holds_what_those_of_each_hold(splits):
    found, together = splits
    assert len(together) == sum(map(len, found))
    starts = np.cumsum([0, *map(len, found)])
    rows = np.array([starts[2] + 4, 3, starts[1] + 1, 0, starts[2]])
    batch, lengths = together.batch(rows, 99), together.lengths(99)
    assert lengths[starts[1] + 1] == min(found[1].lengths(32)[1], 6)
    assert batch["input_ids"].shape == (5, lengths[rows].max())
    for line, (task, row) in enumerate([(2, 4), (0, 3), (1, 1), (0, 0), (2, 0)]):
        alone = found[task].batch(np.array([row]), 6 if task == 1 else 32)
        for name, tensor in alone.items():
            size = tensor.shape[1]
            assert torch.equal(batch[name][line, :size], tensor[0]) and not batch[name][line, size:].any()


def test_all_tasks_have_one_encoder_and_each_the_score_that_it_was_chosen_by(study, monkeypatch):
    tensors = {}
    for task in study.grid.study.tasks:
        folder = study.paths.run(task, NAME, 0)
        tensors[task] = load_file(folder / "model" / "model.safetensors")
        made = type(study)(study.grid, study.paths, task)
        assert made.score(made.logits(NAME)) == pytest.approx(made.built(NAME)["select"]["value"], abs=1e-6)
    first, *others = tensors.values()
    for other in others:
        assert all(first[name].equal(other[name]) for name in first if name.startswith("bert."))
    assert [len(one["classifier.bias"]) for one in tensors.values()] == [2, 1, 2]


def test_the_best_epoch_has_the_highest_mean_and_rates_are_the_tasks_mean(study):
    (choice,) = study.built(NAME)["choices"]
    scores = {point["value"]: point["score"] for point in choice["searched"]}
    reached = [type(study)(study.grid, study.paths, task).built(NAME)["select"] for task in study.grid.study.tasks]
    assert scores[choice["chosen"]] == max(scores.values())
    assert np.mean([one["value"] for one in reached]) == pytest.approx(max(scores.values()))
    own = [settings for settings in study.grid.study.models["large"].finetune.values()]
    settings = study.built(NAME)["hyperparameters"]
    assert settings["learning_rate"] == pytest.approx(np.mean([one.learning_rate for one in own]))
    assert settings["epochs"] == len(scores) == 3


def test_its_training_is_one_computation_as_planned(study, monkeypatch):
    monkeypatch.setattr("graft.planning.sizes.TOKENS_PER_WORD", 1.0)
    step = TrainJoint(NAME, 0)
    planned = {work.name: work.flops for work in step.work(sizes_of(study.grid, study.paths))}
    for task in study.grid.study.tasks:
        parts = type(study)(study.grid, study.paths, task).built(NAME)["train_flops_parts"]
        assert parts.keys() == planned.keys()
        for name, flops in parts.items():
            assert planned[name] == pytest.approx(flops, rel=0.02), name
    shape, built = Shape.of(study.paths.model("large")), study.built(NAME)
    (nominal,) = built["nominal_flops_parts"].values()
    rows = sum(len(runs.labels(study.paths, task, "train")) for task in study.grid.study.tasks)
    assert built["train_flops_parts"][f"{NAME}/seed-0/train"] < nominal < 3 * rows * 3 * classifier_flops(shape, 12, 5)
