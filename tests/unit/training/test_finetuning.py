import json

import numpy as np
import pytest
import torch

from graft.encoders import load_classifier, new_classifier
from graft.inference import predict
from graft.runs import labels
from graft.study import FineTuning, Task
from graft.tasks import metrics
from graft.tasks.prepare import prepare_task
from graft.tasks.tokens import TokenisedSplit, tokenize_task
from graft.training.finetuning import Labelled, finetune
from graft.training.optimizer import parameter_groups

SETTINGS = {"learning_rate": 3e-3, "batch_size": 16, "epochs": 4, "max_tokens": 32}
FOLDERS = {"sst2": "SST-2", "stsb": "STS-B"}


class Folder:
    """Stands for Paths: one task, one tokenizer."""

    def __init__(self, root):
        self.root = root

    def data(self, task):
        return self.root / task


@pytest.fixture(scope="module", params=["sst2", "stsb"])
def prepared(request, pico_glue, pico_models, tmp_path_factory):
    task, root = request.param, tmp_path_factory.mktemp("task")
    spec = Task.model_validate({"source": {"kind": "tsv", "folder": str(pico_glue / FOLDERS[task])}})
    prepare_task(task, spec, root / task, "x")
    tokenize_task(root / task, pico_models / "large", root / "tokens", "x")
    splits = {
        split: Labelled(TokenisedSplit.load(root / "tokens", split), labels(Folder(root), task, split))
        for split in ("train", "select")
    }
    return spec.row(task), splits, pico_models / "large"


def trained(prepared, tmp_path, seed=0, **changes):
    row, splits, folder = prepared
    settings = FineTuning.model_validate({**SETTINGS, **changes})
    model = new_classifier(folder, row.labels, seed)
    return finetune(
        model, row, splits["train"], splits["select"], settings, seed, "fp32", "cpu", tmp_path / "log", lambda *_: None
    )


def test_training_learns_and_returns_the_best_epoch(prepared, tmp_path):
    row, splits, _ = prepared
    result = trained(prepared, tmp_path, epochs=10)
    assert result.epochs[-1]["loss"] < 0.8 * result.epochs[0]["loss"]
    if row.labels:  # word overlap needs more than pico STS-B's 216 pairs
        assert result.score > 0.8
    assert result.score == max(epoch["select"] for epoch in result.epochs)
    again = predict(result.model, splits["select"].tokens, 32)
    assert metrics.primary(again, splits["select"].labels, row) == result.score


def test_equal_seeds_give_equal_bytes_and_other_seeds_do_not(prepared, tmp_path):
    first, second, third = (trained(prepared, tmp_path, seed, epochs=1) for seed in (0, 0, 1))
    states = [r.model.state_dict() for r in (first, second, third)]
    assert all(states[0][n].equal(states[1][n]) for n in states[0])
    assert not states[0]["classifier.weight"].equal(states[2]["classifier.weight"])


def test_flops_count_every_padded_token_of_training(prepared, tmp_path):
    from graft.cost.flops import classifier_flops
    from graft.shapes import Shape

    row, splits, folder = prepared
    result = trained(prepared, tmp_path, epochs=1)
    rows = len(splits["train"].labels)
    lengths = splits["train"].tokens.lengths(32)
    shape = Shape.of(folder)
    per_example = {t: 3 * classifier_flops(shape, int(t), row.outputs) for t in set(lengths.tolist())}
    exact = sum(per_example[t] for t in lengths.tolist())
    assert exact <= result.flops["train"] <= rows * max(per_example.values())


def test_the_log_holds_loss_metric_speed_and_padding(prepared, tmp_path):
    trained(prepared, tmp_path, epochs=2)
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    epochs = [line for line in lines if "select" in line]
    assert [line["epoch"] for line in epochs] == [1, 2]
    assert {"loss", "select", "metric", "examples_per_second", "padding_waste"} <= set(epochs[0])


def test_a_diverging_loss_stops_with_step_and_rows(prepared, tmp_path):
    with pytest.raises(FloatingPointError, match=r"loss is (nan|inf) at step \d+ \(train rows"):
        trained(prepared, tmp_path, learning_rate=1e30, clip=1e30, warmup=0.0)


def test_norms_and_biases_are_not_decayed(pico_models):
    model = new_classifier(pico_models / "large", ("a", "b"), 0)
    decayed, rest = parameter_groups(model.parameters(), 0.01)
    assert decayed["weight_decay"] == 0.01 and rest["weight_decay"] == 0.0
    names = {id(p): n for n, p in model.named_parameters()}
    assert all("LayerNorm" in names[id(p)] or names[id(p)].endswith("bias") for p in rest["params"])
    assert not any("LayerNorm" in names[id(p)] or names[id(p)].endswith("bias") for p in decayed["params"])


def test_a_new_head_depends_on_the_seed_alone(pico_models):
    torch.manual_seed(5)
    first = new_classifier(pico_models / "large", ("a", "b"), 3)
    torch.manual_seed(6)
    second = new_classifier(pico_models / "large", ("a", "b"), 3)
    assert first.classifier.weight.equal(second.classifier.weight)


def test_saved_and_loaded_gives_equal_logits(prepared, tmp_path):
    row, splits, _ = prepared
    result = trained(prepared, tmp_path, epochs=1)
    result.model.save_pretrained(tmp_path / "model")
    tokens = splits["select"].tokens
    assert np.array_equal(predict(result.model, tokens, 32), predict(load_classifier(tmp_path / "model"), tokens, 32))
