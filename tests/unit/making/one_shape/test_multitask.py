import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from graft.encoders.models import load_classifier, new_classifier
from graft.encoders.saving import save_model
from graft.io import files
from graft.making.one_shape.multitask import HEAD, SHARE, share_of_own, under_head, with_encoder
from graft.merging.card import CARD
from graft.study.steps.merge_encoders import MergeEncoders


def test_a_score_counts_as_a_share_of_the_fine_tuned_models_own():
    assert share_of_own({"a": 0.4, "b": 0.9}, {"a": 0.8, "b": 0.9}) == pytest.approx((0.5 + 1) / 2)
    # A model that has learnt nothing, or the contrary, is nobody's measure.
    assert share_of_own({"a": 0.4, "b": 0.9}, {"a": -0.1, "b": 0.0}) == pytest.approx((0.4 + 0.9) / 2)


def encoder_of(model):
    return {name: tensor + 1 for name, tensor in model.state_dict().items() if not name.startswith(HEAD)}


def test_an_encoder_goes_under_a_classifiers_own_head(pico_classifier):
    model, other = pico_classifier(seed=0), pico_classifier(seed=1)
    body, own = encoder_of(other), {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found = with_encoder(model, body).state_dict()
    for name, tensor in found.items():
        assert torch.equal(tensor, own[name] if name.startswith(HEAD) else body[name]), name
    assert {name for name in found if name.startswith(HEAD)} == {
        f"{layer}.{part}" for layer in ("bert.pooler.dense", "classifier") for part in ("weight", "bias")
    }


@pytest.mark.parametrize("change", ["missing", "extra"])
def test_an_encoder_that_is_not_whole_is_named_by_its_tensor(pico_classifier, change):
    body = encoder_of(pico_classifier())
    name = "bert.encoder.layer.0.output.dense.weight"
    body = {k: v for k, v in body.items() if k != name} if change == "missing" else {**body, "bert.more": torch.ones(1)}
    with pytest.raises(ValueError, match=f"merged encoder: {name if change == 'missing' else 'bert.more'} is not in"):
        with_encoder(pico_classifier(), body)


def test_a_tasks_classifier_is_a_plain_folder(pico_models, tmp_path):
    tuned, merged, out = (tmp_path / name for name in ("tuned", "merged", "out"))
    model = new_classifier(pico_models / "large", ("no", "yes"), seed=3)
    save_model(model, tuned)
    merged.mkdir()
    body = encoder_of(model)
    save_file(body, merged / "encoder.safetensors")
    (merged / CARD).write_text("card")
    under_head(tuned, merged, pico_models / "large", ("no", "yes"), out)
    saved, own = load_file(out / "model.safetensors"), load_classifier(tuned).state_dict()
    assert all(torch.equal(saved[name], body.get(name, own[name])) for name in own) and saved.keys() == own.keys()
    assert json.loads((out / "config.json").read_text())["id2label"] == {"0": "no", "1": "yes"}
    assert (out / CARD).read_text() == "card" and (out / "vocab.txt").is_file()


NAME = "multitask.task_arithmetic.large"


@pytest.fixture(scope="module")
def study(make):
    """One encoder of all three tasks, at two strengths; its classifier of RTE."""
    return make({"multitask": {"methods": {"task_arithmetic": {"strengths": [0.3, 1.0]}}}}, (NAME,))


def test_the_strength_is_chosen_for_all_tasks_together(study):
    made = study.built(NAME)
    (choice,) = made["choices"]
    scores = {point["value"]: point["score"] for point in choice["searched"]}
    assert list(scores) == [0.3, 1.0] and scores[choice["chosen"]] == max(scores.values())
    assert choice["metric"] == SHARE and set(made["hyperparameters"]["tasks"]) == {"sst2", "stsb", "rte"}
    assert study.score(study.logits(NAME)) == pytest.approx(made["select"]["value"], abs=1e-6)


def test_the_encoder_is_the_base_and_its_share_of_every_tasks_change(study):
    (choice,) = study.built(NAME)["choices"]
    body = load_file(MergeEncoders(NAME, 0).output(study.paths).with_name("encoder.safetensors"))
    base = load_file(study.paths.model("large") / "model.safetensors")
    tuned = [
        load_file(study.paths.run(task, "finetune.large", 0) / "model" / "model.safetensors")
        for task in ("sst2", "stsb", "rte")
    ]
    for name, tensor in body.items():
        start = base[name.removeprefix("bert.")]
        change = sum(model[name] - start for model in tuned)
        torch.testing.assert_close(tensor, start + choice["chosen"] * change, rtol=0, atol=1e-5)
    own = load_file(study.folder(NAME) / "model.safetensors")
    assert all(own[name].equal(body.get(name, tuned[2][name])) for name in own)


def test_what_all_tasks_took_is_counted_and_each_strength_was_scored_on_all(study):
    parts = study.built(NAME)["train_flops_parts"]
    spent = 0
    for task in ("sst2", "stsb", "rte"):
        made = files.read_json(study.paths.run(task, "finetune.large", 0) / "build.json")["train_flops_parts"]
        assert made.items() < parts.items()
        epochs = study.grid.study.models["large"].finetune[task].epochs
        spent += made[f"finetune.large/{task}/seed-0/select"] // epochs
    assert parts[f"{NAME}/seed-0/select"] == 2 * spent
