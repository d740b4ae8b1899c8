"""Composites of a study whose own weights are trained: the untrained state counts, and the best epoch is kept."""

import json

import pytest

from graft.making.trained_composites import LINKED
from graft.merging.composite import manifest
from tests.unit.making.conftest import PAIR


def name_of(method):
    return f"merge.{method}.{PAIR}"


@pytest.fixture(scope="module", params=["rte", "stsb"])
def study(request, make):
    """Each composite with trained weights, of classes and of a score."""
    systems = {"merge": {name: {"epochs": 2} for name in LINKED}, "probe": {"pooling": ["mean"]}}
    return make(systems, ("merge.*",), task=request.param)


@pytest.mark.parametrize("method", LINKED)
def test_the_saved_epoch_is_the_one_that_was_best_on_select(study, method):
    built = study.built(name_of(method))
    (choice,) = built["choices"]
    scores = {point["value"]: point["score"] for point in choice["searched"]}
    assert choice["name"] == "epoch" and list(scores) == [0, 1, 2]
    assert built["select"]["value"] == max(scores.values()) == scores[choice["chosen"]]
    assert study.score(study.logits(name_of(method))) == pytest.approx(built["select"]["value"], abs=1e-4)


@pytest.mark.parametrize(("method", "parent"), [("side_tuning", "probe.mean.large"), ("calm", "probe.mean.large")])
def test_the_untrained_state_answers_as_the_probe(study, method, parent):
    """Side tuning and links start from the large model's probe, and a ladder from the small model as it was tuned."""
    (choice,) = study.built(name_of(method))["choices"]
    assert choice["searched"][0]["score"] == pytest.approx(study.score(study.logits(parent, "all")), abs=1e-4)


def test_an_untrained_ladder_answers_as_the_small_model(study):
    (choice,) = study.built(name_of("ladder"))["choices"]
    expected = study.built("finetune.small")["select"]["value"]
    assert choice["searched"][0]["score"] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("method", LINKED)
def test_the_learning_rate_is_the_small_models_times_the_methods_factor(study, method):
    log = study.paths.run(study.task, name_of(method), 0) / "training.jsonl"
    assert [line["epoch"] for line in map(json.loads, log.read_text().splitlines()) if "select" in line] == [0, 1, 2]
    rate = study.grid.merges[method].options.rate
    assert study.built(name_of(method))["hyperparameters"]["learning_rate"] == pytest.approx(1e-3 * rate)


@pytest.mark.parametrize("method", LINKED)
def test_flops_are_those_of_both_models_and_of_the_training_once(study, method):
    parts, task = study.built(name_of(method))["train_flops_parts"], study.task
    assert study.built("finetune.small")["train_flops_parts"].items() <= parts.items()
    own = {part.rpartition("/")[2] for part in parts if part.startswith(name_of(method))}
    assert {"train", "select"} <= own and ("small" in own) == (method == "calm")
    # The states of all layers have the last one among them, on which the probe was fitted.
    embeds = {part for part in parts if part.startswith("embed.")}
    assert bool(embeds) == (method == "side_tuning"), parts
    assert all(isinstance(count, int) and count > 0 for count in parts.values()), task


@pytest.mark.parametrize(("method", "keys"), [("ladder", {"depth_map"}), ("calm", {"depth_map", "pooling"})])
def test_where_states_come_from_is_saved_with_the_weights(study, method, keys):
    fields = manifest.read(study.folder(name_of(method))).fields
    assert keys <= fields.keys()
    # 2 layers into 4, evenly spread.
    assert [list(pair) for pair in fields["depth_map"]] == [[0, 1], [1, 3]]
