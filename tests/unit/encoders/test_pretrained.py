import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertModel

from graft.config.models import PathModel
from graft.encoders.models import body_of, load_encoder, projections_of
from graft.encoders.pretrained import fetch_model
from graft.io import files
from graft.registry.shapes import Shape
from tests.unit.hub import write_tinybert


@pytest.fixture
def published(pico_models, tmp_path):
    """A copy of a model folder that a test may damage."""
    return shutil.copytree(pico_models / "small", tmp_path / "published")


def fetch(folder, out, **changes):
    return fetch_model(PathModel(kind="path", folder=str(folder), **changes), "models.small.source", out, "x")


def test_a_local_folder_arrives_whole(published, tmp_path):
    manifest = fetch(published, tmp_path / "out")
    ours, theirs = load_encoder(tmp_path / "out").state_dict(), load_encoder(published).state_dict()
    assert all(ours[name].equal(theirs[name]) for name in theirs)
    assert manifest["sha256"]["model.safetensors"] == files.sha256(tmp_path / "out" / "model.safetensors")
    assert manifest["parameters"] == sum(t.numel() for t in theirs.values())


def test_an_old_pickle_with_old_names_becomes_the_same_model(published, tmp_path):
    state = load_file(published / "model.safetensors")
    old = {
        f"bert.{n.replace('LayerNorm.weight', 'LayerNorm.gamma').replace('LayerNorm.bias', 'LayerNorm.beta')}": t
        for n, t in state.items()
    }
    old |= {
        "cls.predictions.bias": torch.zeros(3),
        "fit_dense.weight": torch.ones(24, 12),
        "fit_dense.bias": torch.zeros(24),
    }
    torch.save(old, published / "pytorch_model.bin")
    (published / "model.safetensors").unlink()
    (published / "tokenizer.json").unlink()
    (published / "tokenizer_config.json").unlink()
    fetch(published, tmp_path / "out")
    ours = load_encoder(tmp_path / "out").state_dict()
    assert all(ours[name].equal(tensor) for name, tensor in state.items())
    assert load_file(tmp_path / "out" / "fit_dense.safetensors")["weight"].shape == (24, 12)
    assert (tmp_path / "out" / "tokenizer.json").is_file()


@pytest.fixture
def tinybert(pico_models, tmp_path):
    """A folder as TinyBERT's makers publish it, its encoder and its projections."""
    return lambda own: (tmp_path / "tinybert", *write_tinybert(tmp_path / "tinybert", pico_models / "small", own))


@pytest.mark.parametrize("own", [False, True])
def test_both_versions_of_tinybert_load_without_a_model_type(tinybert, tmp_path, own):
    folder, state, heads = tinybert(own)
    manifest = fetch(folder, tmp_path / "out")
    ours = load_encoder(tmp_path / "out").state_dict()
    assert all(ours[name].equal(tensor) for name, tensor in state.items())
    found = projections_of(tmp_path / "out")
    assert len(found) == len(heads)
    for i, (weight, head) in enumerate(zip(found, heads, strict=True)):
        assert weight.equal(head[f"fit_denses.{i}.weight" if own else "fit_dense.weight"])
    assert manifest["left_out"] == ["cls.predictions.bias", "cls.seq_relationship.weight"]
    assert files.read_json(tmp_path / "out" / "config.json")["model_type"] == "bert"


def test_a_projection_for_each_layer_must_be_whole(tinybert, tmp_path):
    folder, _, _ = tinybert(True)
    state = torch.load(folder / "pytorch_model.bin")
    state.pop("fit_denses.1.bias")
    torch.save(state, folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match="fit_denses.1.bias is missing or unexpected.*for each layer"):
        fetch(folder, tmp_path / "out")


@pytest.mark.parametrize(
    "changes",
    [{"type_vocab_size": 1}, {"embedding_size": 12}, {"architectures": ["RobertaModel"]}, {"hidden_size": None}],
)
def test_a_config_that_might_be_another_familys_is_refused(tinybert, tmp_path, changes):
    folder, _, _ = tinybert(False)
    config = files.read_json(folder / "config.json") | changes
    files.write_json(folder / "config.json", {key: value for key, value in config.items() if value is not None})
    with pytest.raises(ValueError, match="model_type is missing, and not all keys are BERT's"):
        fetch(folder, tmp_path / "out")


def test_a_vocabulary_keeps_every_setting_of_its_tokenizer(published, tmp_path):
    (published / "tokenizer.json").unlink()
    settings = {"do_lower_case": False, "strip_accents": True, "tokenize_chinese_chars": False}
    files.write_json(published / "tokenizer_config.json", {"tokenizer_class": "BertTokenizer", **settings})
    fetch(published, tmp_path / "out")
    made = files.read_json(tmp_path / "out" / "tokenizer.json")["normalizer"]
    assert (made["lowercase"], made["strip_accents"], made["handle_chinese_chars"]) == (False, True, False)
    assert settings.items() <= files.read_json(tmp_path / "out" / "tokenizer_config.json").items()


def test_a_vocabulary_that_transformers_reads_otherwise_is_refused(published, tmp_path):
    (published / "tokenizer.json").unlink()
    words = (published / "vocab.txt").read_text()
    (published / "vocab.txt").write_text(f"\ufeff{words}")
    with pytest.raises(
        ValueError, match=r"reads its vocab.txt differently: the vocabularies differ at '\[PAD\]'; save it"
    ):
        fetch(published, tmp_path / "out")


def test_a_classifier_gives_its_encoder(published, tmp_path, pico_models):
    from transformers import BertForSequenceClassification

    model = BertForSequenceClassification.from_pretrained(published, num_labels=3)
    model.save_pretrained(published)
    manifest = fetch(published, tmp_path / "out")
    theirs = load_encoder(pico_models / "small").state_dict()
    assert all(load_encoder(tmp_path / "out").state_dict()[name].equal(tensor) for name, tensor in theirs.items())
    assert manifest["left_out"] == ["classifier.bias", "classifier.weight"]


class Attack:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code ran')",))


def test_a_pickle_that_would_run_code_is_refused(published, tmp_path):
    torch.save({"x": Attack()}, published / "pytorch_model.bin")
    (published / "model.safetensors").unlink()
    with pytest.raises(Exception, match="damaged, or a pickle of more than tensors"):
        fetch(published, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_model_without_a_pooler_gets_a_plain_one_and_says_so(published, tmp_path):
    BertModel.from_pretrained(published, add_pooling_layer=False).save_pretrained(published)
    manifest = fetch(published, tmp_path / "out")
    assert load_encoder(tmp_path / "out").pooler.dense.weight.equal(torch.eye(12))
    assert "identity" in manifest["pooler"]


def test_a_wrong_sha256_is_refused_and_nothing_is_written(published, tmp_path):
    with pytest.raises(ValueError, match="the config expects 000"):
        fetch(published, tmp_path / "out", sha256="0" * 64)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda s: s.pop("encoder.layer.0.output.dense.bias"), "encoder.layer.0.output.dense.bias is missing"),
        (lambda s: s.update(extra=torch.zeros(2)), "extra does not belong to the encoder"),
        (lambda s: s.update({"fit_dense.weight": torch.ones(24, 12)}), "fit_dense.bias is missing or unexpected"),
        (
            lambda s: s.update({"pooler.dense.bias": torch.zeros(5)}),
            r"pooler.dense.bias is \[5\], but config.json says \[12\]",
        ),
    ],
)
def test_tensors_missing_unknown_or_of_another_shape_are_named(published, tmp_path, damage, message):
    state = load_file(published / "model.safetensors")
    damage(state)
    save_file(state, published / "model.safetensors")
    with pytest.raises(ValueError, match=message):
        fetch(published, tmp_path / "out")


def test_other_architectures_are_refused(published, tmp_path):
    config = files.read_json(published / "config.json")
    files.write_json(published / "config.json", {**config, "model_type": "albert"})
    with pytest.raises(ValueError, match="model_type is 'albert'; supported are bert"):
        fetch(published, tmp_path / "out")


def test_no_encoder_in_a_checkpoint_is_an_error():
    with pytest.raises(ValueError, match="no encoder tensors"):
        body_of({"cls.predictions.bias": torch.zeros(1)}, Shape(1, 2, 1, 4, 5), "here")
