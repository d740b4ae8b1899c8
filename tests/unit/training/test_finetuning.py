import json
from types import MappingProxyType

import numpy as np
import pytest
import torch

from graft.config.launch import Launch
from graft.config.models import FineTuning
from graft.config.tasks import Task
from graft.encoders.inference import Labelled, predict
from graft.encoders.models import load_classifier, new_classifier
from graft.encoders.saving import save_model
from graft.flops.counts import classifier_flops
from graft.registry.shapes import Shape
from graft.study.paths import Paths
from graft.study.runs import labels
from graft.tasks import metrics
from graft.tasks.prepare import prepare_task
from graft.tasks.tokens import TokenisedSplit, tokenize_task
from graft.training import dropout
from graft.training.finetuning import PassCost, Training, finetune
from graft.training.world import World

SETTINGS = {"learning_rate": 3e-3, "batch_size": 16, "epochs": 4, "max_tokens": 32}
FOLDERS = {"sst2": "SST-2", "stsb": "STS-B"}


@pytest.fixture(scope="module", params=["sst2", "stsb"])
def prepared(request, pico_glue, pico_models, tmp_path_factory):
    task, root = request.param, tmp_path_factory.mktemp("task")
    spec = Task.model_validate({"source": {"kind": "tsv", "folder": str(pico_glue / FOLDERS[task])}})
    data = Paths(root).data(task)
    prepare_task(task, spec, data, "x")
    tokenize_task(data, pico_models / "large", root / "tokens", "x")
    splits = {
        split: Labelled(TokenisedSplit.load(root / "tokens", split), labels(Paths(root), task, split))
        for split in ("train", "select")
    }
    return spec.row(task), splits, pico_models / "large"


def trained(
    prepared,
    tmp_path,
    seed=0,
    train=None,
    how=MappingProxyType({}),
    trackers=(),
    attention="auto",
    drop=0.1,
    **changes,
):
    row, splits, folder = prepared
    # Not checked: a config may not ask for what makes a loss diverge at once.
    settings = FineTuning.model_validate(SETTINGS).model_copy(update=changes)
    model = new_classifier(folder, row.labels, seed)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = drop
    cost = PassCost.of_classifier(Shape.of(folder), row.outputs)
    launch = Launch(precision="fp32", device="cpu", trackers=trackers, attention=attention)
    setting = settings, seed, launch, tmp_path / "log.jsonl", cost
    training = Training(row, train or splits["train"], splits["select"], *setting, **how)
    return finetune(model, training, lambda *_: None)


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


def test_training_on_a_cpu_drops_quickly(prepared, tmp_path, monkeypatch):
    found = []
    quick = dropout.dropout
    monkeypatch.setattr(dropout, "dropout", lambda x, p: found.append(x.shape) or quick(x, p))
    trained(prepared, tmp_path, epochs=1)
    # Of states [b, t, w], and of attention [b, h, t, t].
    assert {len(shape) for shape in found} >= {3, 4}


def test_flops_are_those_computed_and_nominal_ones_count_every_padded_token_of_training(prepared, tmp_path):
    row, splits, folder = prepared
    packed, padded = (trained(prepared, tmp_path, epochs=1, attention=kind) for kind in ("eager", "sdpa"))
    rows = len(splits["train"].labels)
    lengths = splits["train"].tokens.lengths(32)
    shape = Shape.of(folder)
    per_example = {t: 3 * classifier_flops(shape, int(t), row.outputs) for t in set(lengths.tolist())}
    exact = sum(per_example[t] for t in lengths.tolist())
    assert exact <= padded.flops["train"] <= rows * max(per_example.values())
    assert padded.nominal == {} and packed.nominal == {"train": padded.flops["train"]}
    assert 0.5 * exact < packed.flops["train"] < exact and packed.flops["select"] == padded.flops["select"]


def test_the_log_holds_loss_metric_speed_and_padding(prepared, tmp_path):
    trained(prepared, tmp_path, epochs=2)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    epochs = [line for line in lines if "select" in line]
    assert [line["epoch"] for line in epochs] == [1, 2]
    assert {"loss", "select", "metric", "examples_per_second", "padding_waste"} <= set(epochs[0])


def test_a_diverging_loss_stops_with_step_and_rows(prepared, tmp_path):
    with pytest.raises(FloatingPointError, match=r"loss is (nan|inf) at step \d+ \(train rows"):
        trained(prepared, tmp_path, learning_rate=1e30, clip=1e30, warmup=0.0)


def test_saved_and_loaded_gives_equal_logits(prepared, tmp_path):
    row, splits, _ = prepared
    result = trained(prepared, tmp_path, epochs=1)
    save_model(result.model, tmp_path / "model")
    tokens = splits["select"].tokens
    assert np.array_equal(predict(result.model, tokens, 32), predict(load_classifier(tmp_path / "model"), tokens, 32))


@pytest.mark.parametrize("steps", [3, 20])
def test_steps_end_training_and_the_schedule_and_their_last_weights_are_kept(prepared, tmp_path, steps):
    result = trained(prepared, tmp_path, how={"steps": steps})
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert result.effective["steps"] == steps
    assert len(result.epochs) == sum("select" in line for line in lines) == 1
    assert result.epochs[0]["epoch"] == (1 if steps == 3 else 2)
    assert [line["learning_rate"] for line in lines if "learning_rate" in line] == [0.0] * (steps // 20)


def test_the_untrained_model_may_be_the_best(prepared, tmp_path):
    row, splits, folder = prepared
    result = trained(prepared, tmp_path, how={"or_untrained": True}, learning_rate=1e-12, epochs=1)
    kept, start = (m.state_dict() for m in (result.model, new_classifier(folder, row.labels, 0)))
    assert [epoch["epoch"] for epoch in result.epochs] == [0, 1]
    assert result.best == 0 and all(kept[name].equal(start[name]) for name in start)


def test_one_hot_probabilities_train_as_class_ids_do(prepared, tmp_path):
    row, splits, _ = prepared
    if row.labels is None:
        pytest.skip("a score has no classes")
    train = splits["train"]
    soft = Labelled(train.tokens, np.eye(len(row.labels), dtype=np.float32)[train.labels])
    hard, same = (trained(prepared, tmp_path, train=given, epochs=1) for given in (train, soft))
    states = [result.model.state_dict() for result in (hard, same)]
    assert all(torch.allclose(states[0][n], states[1][n], atol=1e-5) for n in states[0])


def test_trackers_get_what_the_log_gets(prepared, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trained(prepared, tmp_path, trackers=["tensorboard"])
    # Beside it stands another, with the hyperparameters.
    (events,) = tmp_path.glob("*/graft/events.out.tfevents*")
    found = EventAccumulator(str(events.parent)).Reload()
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    scores = [event.value for event in found.Scalars("select")]
    assert scores == pytest.approx([line["select"] for line in lines if "select" in line])
    assert [event.step for event in found.Scalars("learning_rate")] == [x["step"] for x in lines if "step" in x]


def test_a_tracker_that_is_not_installed_is_reported(prepared, tmp_path):
    with pytest.raises(ValueError, match="launch.trackers: wandb is not installed"):
        trained(prepared, tmp_path, trackers=["wandb"])


def test_without_padding_it_comes_to_the_same(prepared, tmp_path, monkeypatch):
    packed = trained(prepared, tmp_path, drop=0.0)
    monkeypatch.setattr(World, "packs", False)
    padded = trained(prepared, tmp_path, drop=0.0)
    for one, other in zip(packed.epochs, padded.epochs, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-5)
    # Sums in another order: the weights differ in last digits.
    states = packed.model.state_dict(), padded.model.state_dict()
    assert any(not states[0][name].equal(states[1][name]) for name in states[0])


def test_attention_is_computed_as_asked_for_and_comes_to_the_same(prepared, tmp_path):
    fused, plain = (trained(prepared, tmp_path, epochs=1, attention=kind) for kind in ("sdpa", "eager"))
    kinds = [one.model.bert.encoder.layer[0].attention.self.kind for one in (fused, plain)]
    assert kinds == ["sdpa", "eager"]
    assert (fused.effective["attention"], plain.effective["attention"]) == ("sdpa", "eager")
    assert (fused.effective["packed"], plain.effective["packed"]) == (False, True)
    # Their dropout draws other numbers.
    assert fused.epochs[0]["loss"] == pytest.approx(plain.epochs[0]["loss"], rel=0.1)
