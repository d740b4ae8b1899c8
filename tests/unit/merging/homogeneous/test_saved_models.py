"""Merges of models as transformers saves them: under other heads, by other ages, with ties."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    BertForMaskedLM,
    BertForPreTraining,
    BertForSequenceClassification,
    BertModel,
    DistilBertForSequenceClassification,
    DistilBertModel,
    ElectraForSequenceClassification,
    ElectraModel,
    GPT2LMHeadModel,
    GPT2Model,
    MPNetForSequenceClassification,
    MPNetModel,
    RobertaForMaskedLM,
    RobertaForSequenceClassification,
    RobertaModel,
)

from graft.merging.homogeneous import folders
from graft.merging.homogeneous.folders import Order, merge
from graft.registry import methods
from tests.unit.merging.homogeneous import making
from tests.unit.merging.homogeneous.saving import load, save

STATELESS = [name for name, facts in methods.table(methods.ONE_SHAPE).items() if not facts.statistics]
DECODER, WORDS = "cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"


@pytest.fixture
def world(tmp_path):
    """A base without a head and two classifiers made from it."""
    base = save(tmp_path / "base", BertModel, 0)
    for seed in (1, 2):
        save(tmp_path / f"m{seed}", BertForSequenceClassification, seed, like=base)
    return tmp_path


def models(world):
    return world / "m1", world / "m2"


def renamed(folder, change, **config):
    """The folder with other tensors; `change` takes and returns them by name."""
    save_file(change(load_file(folder / "model.safetensors")), folder / "model.safetensors", {"format": "pt"})
    told = json.loads((folder / "config.json").read_text()) | config
    (folder / "config.json").write_text(json.dumps(told))


def merged(world, method="ties", base="base", out="out", **changes):
    changes = {"models": models(world), **changes}
    plan = merge(Order(method, out=world / out, base=base and world / base, **changes), making.quiet)
    return plan, making.read(world / out)


def test_the_command_of_the_readme_runs_on_a_base_without_a_head(world):
    command = [sys.executable, "-m", "graft", "merge", "--method", "ties", "--base", world / "base"]
    command += ["--models", *models(world), "--out", world / "out"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "the base lacks classifier.bias, classifier.weight: the average of the models'\n" in done.stdout
    load(world / "out", AutoModelForSequenceClassification)
    one, other, out = (making.read(folder) for folder in (*models(world), world / "out"))
    assert set(out) == set(one)
    for name in ("classifier.weight", "classifier.bias"):
        assert np.allclose(out[name], (one[name] + other[name]) / 2)
    made = json.loads((world / "out" / "graft.json").read_text())
    assert made["averaged"] == ["classifier.bias", "classifier.weight"]
    assert "`classifier.bias`, `classifier.weight`" in (world / "out" / "README.md").read_text()


@pytest.mark.parametrize("method", STATELESS)
def test_a_base_under_another_class_is_merged_as_one_under_the_models_own(method, world):
    save(world / "headed", BertForSequenceClassification, 5, like=world / "base", size=0.0)
    changes = {"models": (world / "m1",)} if method == "slerp" else {}
    if method == "ties":
        # Of the whole model, the head's own numbers would count among the largest.
        changes["options"] = {"scope": "tensor"}
    _, plain = merged(world, method, out="plain", **changes)
    _, headed = merged(world, method, "headed", out="headed-out", **changes)
    body = [name for name in plain if name.startswith("bert.")]
    assert body and all(np.array_equal(plain[name], headed[name]) for name in body)


def test_weights_count_in_heads_that_the_base_lacks(world):
    _, out = merged(world, "task_arithmetic", weights=(3.0, 1.0))
    one, other = (making.read(folder)["classifier.weight"] for folder in models(world))
    assert np.allclose(out["classifier.weight"], (3 * one + other) / 4)


def test_a_masked_language_model_is_a_base_whose_head_stays_behind(world):
    save(world / "mlm", BertForMaskedLM, 5, like=world / "base", size=0.0)
    plan, out = merged(world, base="mlm")
    _, plain = merged(world, out="plain")
    assert set(plan.averaged) == {
        *("classifier.weight", "classifier.bias", "bert.pooler.dense.weight", "bert.pooler.dense.bias")
    }
    assert "cls.predictions.bias" in plan.left_out and set(out) == set(plain)
    assert all(np.array_equal(out[name], plain[name]) for name in out if ".LayerNorm" in name)
    load(world / "out", AutoModelForSequenceClassification)


def test_a_base_of_the_bert_authors_names_is_merged_like_one_of_todays(world):
    save(world / "old", BertForPreTraining, 5, like=world / "base", size=0.0)

    def change(tensors):
        old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
        for new, before in old.items():
            tensors = {name.replace(new, before): tensor for name, tensor in tensors.items()}
        return tensors | {"bert.embeddings.position_ids": np.arange(16).reshape(1, 16)}

    renamed(world / "old", change)
    plan, out = merged(world, base="old")
    _, plain = merged(world, out="plain")
    assert making.same(out, plain) and "bert.embeddings.position_ids" in plan.left_out


def test_models_saved_by_other_ages_keep_the_names_of_today(world):
    def change(tensors):
        return {name.replace("LayerNorm.weight", "LayerNorm.gamma"): tensor for name, tensor in tensors.items()}

    _, plain = merged(world, out="plain")
    renamed(world / "m1", change)
    assert making.same(merged(world)[1], plain)
    renamed(world / "m2", change)
    _, old = merged(world, out="old")
    assert making.same({name.replace("gamma", "weight"): tensor for name, tensor in old.items()}, plain)
    load(world / "old", AutoModelForSequenceClassification)


@pytest.mark.parametrize("which", [("base",), ("m1",), ("m2",), ("base", "m1"), ("base", "m1", "m2")])
def test_buffers_go_along_where_all_models_have_them(which, world):
    _, plain = merged(world, out="plain")
    for name in which:
        position = np.arange(16).reshape(1, 16)
        prefix = "" if name == "base" else "bert."
        renamed(world / name, lambda t, p=prefix, ids=position: t | {f"{p}embeddings.position_ids": ids})
    _, out = merged(world)
    ids = out.pop("bert.embeddings.position_ids", None)
    assert making.same(out, plain)
    assert (ids is not None) == ({"m1", "m2"} <= set(which))
    assert ids is None or np.array_equal(ids, np.arange(16).reshape(1, 16))


@pytest.mark.parametrize("first", ["m1", "m2"])
@pytest.mark.parametrize("base", ["base", None])
@pytest.mark.parametrize("widths", [(np.int64, np.int32), (np.int32, np.int64)])
def test_integers_of_other_widths_are_equal_by_value_and_touch_nothing(first, base, widths, world):
    _, plain = merged(world, "linear", base, out="plain")
    for name, dtype in zip(("m1", "m2"), widths, strict=True):
        ids = np.arange(16, dtype=dtype).reshape(1, 16)
        renamed(world / name, lambda t, ids=ids: t | {"bert.embeddings.position_ids": ids})
    order = models(world) if first == "m1" else models(world)[::-1]
    _, out = merged(world, "linear", base, models=order)
    ids = out.pop("bert.embeddings.position_ids")
    assert ids.dtype == np.int64 and np.array_equal(ids, np.arange(16).reshape(1, 16))
    assert making.same(out, plain)


FAMILIES = {
    "roberta": (RobertaModel, RobertaForSequenceClassification, {}),
    "electra": (ElectraModel, ElectraForSequenceClassification, {"embedding_size": 6}),
    "mpnet": (MPNetModel, MPNetForSequenceClassification, {}),
    "distilbert": (DistilBertModel, DistilBertForSequenceClassification, {"dim": 8, "hidden_dim": 12, "n_heads": 2}),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_other_families_merge_from_a_base_without_a_head(family, tmp_path):
    plain, headed, changes = FAMILIES[family]
    base = save(tmp_path / "base", plain, 0, family=family, **changes)
    for seed in (1, 2):
        save(tmp_path / f"m{seed}", headed, seed, like=base, family=family, **changes)
    plan, _ = merged(tmp_path, "task_arithmetic")
    assert all("classifier" in name for name in plan.averaged) and plan.averaged
    load(tmp_path / "out", AutoModelForSequenceClassification)


def stored_twice(folder, head="cls.predictions.decoder", words=WORDS, bias="cls.predictions.bias"):
    """As older versions saved what is tied: each end of it."""
    renamed(folder, lambda t: t | {f"{head}.weight": t[words].copy(), f"{head}.bias": t[bias].copy()})
    return folder


@pytest.fixture
def speakers(tmp_path):
    """Masked language models, base and two, with both ends of their ties."""
    base = save(tmp_path / "base", BertForMaskedLM, 0)
    for seed in (1, 2):
        stored_twice(save(tmp_path / f"m{seed}", BertForMaskedLM, seed, like=base))
    stored_twice(base)
    return tmp_path


@pytest.mark.parametrize("method", STATELESS)
def test_tied_tensors_stay_one(method, speakers):
    changes = {"models": (speakers / "m1",)} if method == "slerp" else {}
    plan, out = merged(speakers, method, **changes)
    assert np.array_equal(out[DECODER], out[WORDS])
    assert np.array_equal(out["cls.predictions.decoder.bias"], out["cls.predictions.bias"])
    assert set(plan.tied) == {(WORDS, DECODER), ("cls.predictions.bias", "cls.predictions.decoder.bias")}
    model = load(speakers / "out", AutoModelForMaskedLM)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


@pytest.mark.parametrize("method", ["fisher", "regmean"])
def test_tied_tensors_stay_one_where_statistics_weigh_them(method, speakers):
    rng = np.random.default_rng(0)
    kind = methods.facts(method).statistics
    for name in ("m1", "m2"):
        tensors = making.read(speakers / name)
        found = {key: rng.random(value.shape, np.float32) for key, value in tensors.items()}
        if method == "regmean":
            inputs = {key: rng.random((20, value.shape[1])) for key, value in tensors.items() if value.ndim == 2}
            found = {key: np.float32(x.T @ x) for key, x in inputs.items() if "embeddings" not in key}
        (speakers / "statistics" / name).mkdir(parents=True)
        save_file(found, speakers / "statistics" / name / kind)
    statistics = tuple(speakers / "statistics" / name for name in ("m1", "m2"))
    _, out = merged(speakers, method, statistics=statistics)
    assert np.array_equal(out[DECODER], out[WORDS])
    assert np.array_equal(out["cls.predictions.decoder.bias"], out["cls.predictions.bias"])


@pytest.mark.parametrize("method", ["ties", "dare_ties", "della", "iso_c"])
def test_a_tied_tensor_counts_once(method, speakers):
    _, twice = merged(speakers, method, out="twice")
    for name in ("base", "m1", "m2"):
        renamed(speakers / name, lambda t: {key: t[key] for key in t if ".decoder." not in key})
    _, once = merged(speakers, method, out="once")
    assert all(np.array_equal(once[name], twice[name]) for name in once)


@pytest.mark.parametrize("which", ["base", "m1", "m2"])
def test_a_copy_that_some_lack_is_left_out(which, speakers):
    _, both = merged(speakers, "dare_ties", out="both")
    renamed(speakers / which, lambda t: {name: t[name] for name in t if ".decoder." not in name})
    plan, out = merged(speakers, "dare_ties")
    if which == "base":
        assert making.same(out, both)
    else:
        assert DECODER in plan.left_out and DECODER not in out
    load(speakers / "out", AutoModelForMaskedLM)


@pytest.mark.parametrize("which", ["base", "m1", "m2"])
def test_models_that_disagree_on_what_is_tied_are_refused(which, speakers):
    renamed(speakers / which, lambda t: t | {DECODER: t[DECODER] + 1})
    with pytest.raises(
        ValueError, match=rf"{which}: {DECODER} is not {WORDS}, in .* both are one tensor; must be tied"
    ):
        merged(speakers, "linear")


def test_models_that_are_all_untied_stay_so(speakers):
    for number, name in enumerate(("base", "m1", "m2"), 1):
        renamed(speakers / name, lambda t, n=number: t | {DECODER: t[DECODER] + n}, tie_word_embeddings=False)
    plan, out = merged(speakers, "linear", strength=1.0)
    assert not np.array_equal(out[DECODER], out[WORDS]) and len(plan.tied) == 1


def test_a_copy_is_missing_where_a_config_unties_it(speakers):
    for name in ("base", "m1", "m2"):
        renamed(speakers / name, lambda t: t, tie_word_embeddings=False)
    renamed(speakers / "m2", lambda t: {name: t[name] for name in t if name != DECODER})
    with pytest.raises(ValueError, match=f"m2: {DECODER} is missing, which .*base has"):
        merged(speakers, "linear")


def test_robertas_tied_head_is_known_too(tmp_path):
    base = save(tmp_path / "base", RobertaForMaskedLM, 0, family="roberta")
    for seed in (1, 2):
        save(tmp_path / f"m{seed}", RobertaForMaskedLM, seed, like=base, family="roberta")
    for name in ("base", "m1", "m2"):
        stored_twice(tmp_path / name, "lm_head.decoder", "roberta.embeddings.word_embeddings.weight", "lm_head.bias")
    _, out = merged(tmp_path, "della")
    assert np.array_equal(out["lm_head.decoder.weight"], out["roberta.embeddings.word_embeddings.weight"])
    load(tmp_path / "out", AutoModelForMaskedLM)


def test_other_tensors_that_are_one_by_their_bytes_are_drawn_for_once(world):
    twin = "bert.encoder.layer.0.attention.self.key.weight", "bert.encoder.layer.0.attention.self.query.weight"
    for name in ("base", "m1", "m2"):
        one, other = (part.removeprefix("bert.") if name == "base" else part for part in twin)
        renamed(world / name, lambda t, one=one, other=other: t | {other: t[one].copy()})
    plan, out = merged(world, "dare_linear")
    assert plan.tied == (twin,) and np.array_equal(out[twin[0]], out[twin[1]])


def test_tensors_that_all_begin_alike_are_no_ties(world):
    for name in ("base", "m1", "m2"):
        renamed(world / name, lambda t: {key: np.zeros_like(v) if v.ndim == 1 else v for key, v in t.items()})
    assert not merged(world)[0].tied


def test_halves_of_two_kinds_are_merged_in_what_holds_both(world):
    for name, dtype in (("m1", torch.float16), ("m2", torch.bfloat16)):
        BertForSequenceClassification.from_pretrained(world / name).to(dtype).save_pretrained(world / f"{name}-half")
    halves = world / "m1-half", world / "m2-half"
    for number, order in enumerate((halves, halves[::-1])):
        plan, _ = merged(world, "linear", None, out=f"out{number}", models=order)
        assert {slot.dtype for slot in plan.files[0]} == {"F32"}
        told = json.loads((world / f"out{number}" / "config.json").read_text())
        assert told["dtype"] == "float32"
        assert load(world / f"out{number}", AutoModelForSequenceClassification).dtype == torch.float32


def test_what_the_body_of_one_lacks_is_refused(world):
    name = "encoder.layer.0.output.dense.bias"
    renamed(world / "base", lambda t: {key: t[key] for key in t if key != name})
    with pytest.raises(ValueError, match=f"m1: bert.{name} is in it, but not in .*base"):
        merged(world)


def test_a_head_that_one_model_lacks_is_refused(world):
    save(world / "m2", BertModel, 2, like=world / "base")
    with pytest.raises(ValueError, match="m2: its class is BertModel, that of .*m1 BertForSequenceClassification"):
        merged(world)
    renamed(world / "m2", lambda t: t, architectures=None)
    with pytest.raises(ValueError, match=r"m2: classifier\.\w+ is missing, which .*m1 has"):
        merged(world)


def test_a_base_without_a_tied_head_is_no_other_class(tmp_path):
    changes = {"family": "gpt2", "n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 16}
    base = save(tmp_path / "base", GPT2Model, 0, **changes)
    for seed in (1, 2):
        save(tmp_path / f"m{seed}", GPT2LMHeadModel, seed, like=base, **changes)
    merged(tmp_path, "dare_ties")
    assert json.loads((tmp_path / "out" / "config.json").read_text())["architectures"] == ["GPT2LMHeadModel"]
    load(tmp_path / "out", GPT2LMHeadModel)


def test_one_tensor_under_two_names_is_refused(world):
    renamed(world / "m1", lambda t: t | {"pooler.dense.bias": t["bert.pooler.dense.bias"]})
    with pytest.raises(ValueError, match="m1: .*pooler.dense.bias is the same tensor as .*; remove one of them"):
        merged(world)


def test_models_without_a_head_merge_from_a_base_under_one(world):
    for seed in (1, 2):
        save(world / f"plain{seed}", BertModel, seed, like=world / "base")
    save(world / "headed", BertForSequenceClassification, 5, like=world / "base", size=0.0)
    plan, _ = merged(world, base="headed", models=(world / "plain1", world / "plain2"))
    assert plan.left_out == ("classifier.bias", "classifier.weight")
    assert json.loads((world / "out" / "config.json").read_text())["architectures"] == ["BertModel"]
    load(world / "out", AutoModel)


def test_labels_that_a_config_without_a_head_names_are_nobodys(world):
    for name in ("m1", "m2"):
        save(world / name, BertModel, 1, like=world / "base")
    renamed(world / "base", lambda t: t, id2label={"0": "cat", "1": "dog"})
    renamed(world / "m1", lambda t: t, id2label={"0": "no", "1": "yes"})
    merged(world)
    assert json.loads((world / "out" / "config.json").read_text())["id2label"] == {"0": "no", "1": "yes"}


def test_the_lines_of_a_plan_say_what_was_averaged_and_left_out(world):
    save(world / "mlm", BertForMaskedLM, 5, like=world / "base", size=0.0)
    plan, _ = merged(world, base="mlm")
    told = folders.summary(plan).splitlines()
    assert told[2] == (
        "the base lacks bert.pooler.dense.bias, bert.pooler.dense.weight, classifier.bias, classifier.weight: "
        "the average of the models'"
    )
    assert told[3].startswith("left out, since not all models have it: cls.predictions.bias, ")


@pytest.mark.parametrize("shards", [1, 3])
def test_pickled_weights_are_merged_like_the_same_in_safetensors(world, shards, monkeypatch):
    _, expected = merged(world)
    whole = {name: torch.from_numpy(tensor) for name, tensor in load_file(world / "base" / "model.safetensors").items()}
    (world / "base" / "model.safetensors").unlink()
    # Tied tensors share their memory in a pickle.
    whole["cls.predictions.decoder.weight"] = whole["embeddings.word_embeddings.weight"]
    names = [
        f"pytorch_model-{i + 1:05d}-of-{shards:05d}.bin" if shards > 1 else "pytorch_model.bin" for i in range(shards)
    ]
    parts = [{key: whole[key] for key in sorted(whole)[i::shards]} for i in range(shards)]
    for name, part in zip(names, parts, strict=True):
        torch.save(part, world / "base" / name)
    if shards > 1:
        placed = {key: name for name, part in zip(names, parts, strict=True) for key in part}
        (world / "base" / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": placed}))
    scratch = world / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    plan, found = merged(world, out="again")
    assert all(np.array_equal(found[name], tensor) for name, tensor in expected.items())
    assert [file.name for file in plan.sources["base"][1]] == names
    assert not list(scratch.iterdir())
