"""Closed-form composites of a study: what is saved answers as what was chosen, and what it took is counted once."""

import math

import numpy as np
import pytest
import torch

from graft.encoders.inference import predict
from graft.encoders.models import load_classifier
from graft.making.composites import COMPOSITES
from graft.merging.composite import manifest
from graft.merging.composite.logit_ensemble import maths as logit_ensemble
from graft.merging.composite.proxy_tuning import maths as proxy_tuning
from graft.planning.sizes import sizes_of
from graft.study import runs
from graft.study.steps.probe_layers import ProbeLayers
from tests.unit.making.conftest import PAIR

CLASSES, SCORE = "rte", "stsb"


def name_of(method):
    return f"merge.{method}.{PAIR}"


@pytest.fixture(scope="module", params=[CLASSES, SCORE])
def study(request, make):
    """Each closed-form composite, of classes and of a score."""
    merges = {name: {"fit_rows": 64} for name in COMPOSITES}
    merges |= {name: {} for name in ("logit_ensemble", "proxy_tuning")}
    merges["concat_probe"]["folds"] = 2
    systems = {"merge": merges, "probe": {"pooling": ["mean"]}}
    return make(systems, ("merge.*",), task=request.param)


@pytest.mark.parametrize("method", COMPOSITES)
def test_a_saved_composite_has_the_score_by_which_it_was_chosen(study, method):
    built = study.built(name_of(method))
    assert study.score(study.logits(name_of(method))) == pytest.approx(built["select"]["value"], abs=1e-6)
    choice = built["choices"][0]
    best = max(point["score"] for point in choice["searched"])
    assert built["select"]["value"] == best and built["select"]["metric"] == choice["metric"]
    assert choice["chosen"] in [point["value"] for point in choice["searched"] if point["score"] == best]


def of_select(study, model, folder):
    tokens = runs.tokens(study.grid, study.paths, study.task, model, "select")
    return torch.from_numpy(predict(load_classifier(folder), tokens, study.grid.max_tokens(study.task, "large")))


def test_logits_are_those_of_the_small_model_and_the_probe_mixed_at_the_chosen_weight(study):
    saved = manifest.read(study.folder(name_of("logit_ensemble"))).fields
    small = of_select(study, "small", study.folder("finetune.small"))
    probe = torch.from_numpy(study.logits("probe.mean.large", "all"))
    mixed = logit_ensemble.combine(small, probe, saved["beta"], saved["scales"])
    assert study.logits(name_of("logit_ensemble")) == pytest.approx(mixed.numpy(), abs=1e-4)
    assert (saved["scales"] is None) == (study.task == SCORE)


def test_the_probe_moves_as_the_small_model_did_in_fine_tuning(study):
    saved = manifest.read(study.folder(name_of("proxy_tuning"))).fields
    tuned = of_select(study, "small", study.folder("finetune.small"))
    probe, untuned = (torch.from_numpy(study.logits(f"probe.mean.{model}", "all")) for model in ("large", "small"))
    moved = proxy_tuning.combine(probe, tuned, untuned, saved["alpha"], saved["scales"])
    assert study.logits(name_of("proxy_tuning")) == pytest.approx(moved.numpy(), abs=1e-4)


@pytest.mark.parametrize("method", COMPOSITES)
def test_flops_are_those_of_the_small_models_fine_tuning_and_what_the_composite_took(study, method):
    parts, own = study.built(name_of(method))["train_flops_parts"], f"{name_of(method)}/{study.task}/seed-0"
    tuned = study.built("finetune.small")["train_flops_parts"]
    # What a head on all of its states is fitted on comes from models that were fine-tuned for that.
    assert tuned.items() <= parts.items()
    assert any(part.startswith(own) for part in parts) and all(count > 0 for count in parts.values())
    folds = [part for part in parts if "/folds/" in part]
    assert bool(folds) == (method == "concat_probe")
    if folds:
        # Two models, each without a half of the rows, are trained as long as one with all of them.
        trained = tuned[f"finetune.small/{study.task}/seed-0/train"]
        assert math.isclose(parts[f"{own}/folds/train"], trained, rel_tol=0.1)


def test_the_small_model_answers_select_once_for_each_time_that_it_is_counted(study):
    ensemble, proxy = (
        study.built(name_of(method))["train_flops_parts"][f"{name_of(method)}/{study.task}/seed-0/small-on-select"]
        for method in ("logit_ensemble", "proxy_tuning")
    )
    # The fine-tuned one, and the untouched one without its pooler.
    assert 1.8 * ensemble < proxy < 2 * ensemble


def test_every_cut_of_a_stitch_is_tried_at_every_ridge(study):
    choice, ridge = study.built(name_of("stitch"))["choices"]
    assert (choice["name"], ridge["name"]) == ("cut", "ridge")
    # Behind the first of two small layers, in both directions; a negative number is of the large model's.
    assert {point["value"] for point in choice["searched"]} == {1.0, -1.0}
    sizes = study.grid.merges["stitch"].settings.ridge
    assert len(choice["searched"]) == 2 * len(sizes) and {point["ridge"] for point in choice["searched"]} == {*sizes}
    cut = manifest.read(study.folder(name_of("stitch"))).fields["cut"]
    assert (cut["direction"] == "small_to_large") == (choice["chosen"] == 1.0)


def test_a_composite_of_one_saved_head_reads_states_in_the_order_they_were_fitted_in(study):
    head = manifest.read(study.folder(name_of("concat_probe"))).linear(manifest.HEAD, 12 + 24)
    assert head.weight.shape == (study.grid.row(study.task).outputs, 36)
    assert np.isfinite(head.weight.numpy()).all()


@pytest.fixture(scope="module", params=[CLASSES, SCORE])
def probes(request, make):
    return make({"probe": {}}, ("probe.*",), task=request.param)


@pytest.mark.parametrize("model", ["large", "small"])
def test_a_probe_of_layers_is_the_best_of_all_states_and_at_the_last_layer_that_of_each_pooling(probes, model):
    name, built = f"probe.layers.{model}", probes.built(f"probe.layers.{model}", "all")
    states, ridge = built["choices"]
    best = max(tried["score"] for tried in states["searched"] if tried["score"] is not None)
    assert probes.score(probes.logits(name, "all")) == pytest.approx(built["select"]["value"], abs=1e-4)
    assert built["select"]["value"] == best and ridge["chosen"] in [tried["value"] for tried in ridge["searched"]]
    last = {"large": 4, "small": 2}[model]
    for pooling in ("cls", "mean"):
        (alone,) = probes.built(f"probe.{pooling}.{model}", "all")["choices"]
        found = {one["ridge"]: one["score"] for one in states["searched"] if one["value"] == f"{last}.{pooling}"}
        assert found == pytest.approx({one["value"]: one["score"] for one in alone["searched"]}, abs=1e-6)


def test_a_probe_of_layers_costs_one_pass_over_the_texts_and_what_was_planned(probes):
    step = ProbeLayers(probes.task, "probe.layers.large", "all")
    planned = {work.name: work.flops for work in step.work(sizes_of(probes.grid, probes.paths))}
    parts, mean = (probes.built(f"probe.{name}.large", "all")["train_flops_parts"] for name in ("layers", "mean"))
    assert parts[f"probe.layers.large/{probes.task}/states"] == mean[f"embed.large/{probes.task}"]
    assert parts.keys() == planned.keys() and parts == pytest.approx(planned, rel=0.1)
