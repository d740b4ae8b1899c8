"""The rule for hyperparameters, with real weights on one of the demo's tasks: as `graft new` writes them."""

import importlib.util
from pathlib import Path

import numpy as np

from graft.config.launch import Launch
from graft.config.models import FineTuning
from graft.config.study import load
from graft.encoders.inference import Labelled
from graft.encoders.models import new_classifier
from graft.registry import hyperparameters
from graft.registry.shapes import Shape
from graft.tasks.prepare import read_splits, readable
from graft.tasks.tokens import TokenisedSplit, load_tokenizer
from graft.training.finetuning import PassCost, Training, finetune
from tests.workflow.conftest import ROOT

TASK = "sentiment"


def test_the_rule_reaches_what_the_demos_own_values_reach(tmp_path):
    study = load(ROOT / "config" / "demo.yaml")
    task, source = study.tasks[TASK], study.models["minilm"].source
    model = Path(importlib.util.find_spec(source.package).origin).parent / source.folder
    splits, _, rows = read_splits(TASK, task, readable(task.source, tmp_path))
    row, shape, tokenizer = task.row(TASK), Shape.of(model), load_tokenizer(model)
    train, select = (
        Labelled(
            TokenisedSplit.of_texts(tokenizer, [splits[split]["text_a"].tolist()], split, shape.kind.special),
            splits[split]["label"].to_numpy(),
        )
        for split in ("train", "select")
    )
    reached = {}
    for name, values in (
        ("rule", hyperparameters.finetuning(shape.width, rows) | {"max_tokens": 64}),
        ("demo", study.models["minilm"].finetune[TASK].model_dump()),
    ):
        settings, cost = FineTuning.model_validate(values), PassCost.of_classifier(shape, row.outputs)
        training = Training(row, train, select, settings, 0, Launch(), tmp_path / f"{name}.jsonl", cost)
        reached[name] = finetune(new_classifier(model, row.labels, 0), training, lambda *_: None).score
    assert reached["rule"] >= reached["demo"] > max(np.bincount(select.labels)) / len(select.labels) + 0.1, reached
