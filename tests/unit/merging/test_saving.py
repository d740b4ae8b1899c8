import pytest
import torch
from transformers import AutoModelForSequenceClassification

from graft.encoders.saving import save_model
from graft.io.files import sha256
from graft.merging.classifier_heads.head import Head, head_logits
from graft.merging.saving import save_classifier, split_classifier

LABELS = [("no", "yes"), ("a", "b", "c"), None]


@pytest.fixture
def large_folder(pico_classifier, tmp_path):
    """A folder as a pre-trained large model has it, with its tokenizer files."""
    folder = tmp_path / "large"
    save_model(pico_classifier(0).bert, folder)
    (folder / "vocab.txt").write_text("[PAD]\n")
    (folder / "tokenizer.json").write_text("{}")
    return folder


@pytest.mark.parametrize("labels", LABELS)
def test_a_saved_classifier_loads_with_plain_transformers_and_gives_the_same_logits(
    pico_classifier, pico_batches, large_folder, tmp_path, labels
):
    model = pico_classifier(3, labels=labels)
    save_classifier(*split_classifier(model), large_folder, labels, tmp_path / "out")
    # The same attention code as the fixture's, so that logits are equal to the last bit.
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out", attn_implementation="eager").eval()
    batch = pico_batches()[0]
    with torch.no_grad():
        assert torch.equal(loaded(**batch).logits, model(**batch).logits)
    assert loaded.config.num_labels == len(labels or ("score",))
    assert loaded.config.id2label == dict(enumerate(labels or ("score",)))
    assert loaded.config.problem_type == ("regression" if labels is None else "single_label_classification")
    assert loaded.dtype == torch.float32
    assert (tmp_path / "out" / "vocab.txt").read_text() == "[PAD]\n"


def test_the_head_of_a_split_classifier_gives_its_logits(pico_classifier, pico_batches):
    model = pico_classifier(3)
    _, head = split_classifier(model)
    batch = pico_batches()[0]
    with torch.no_grad():
        hidden = model.bert(**batch).last_hidden_state[:, 0]
        torch.testing.assert_close(head_logits(head, hidden), model(**batch).logits)


def test_the_heads_pooler_takes_the_place_of_the_bodys(pico_classifier, large_folder, tmp_path):
    body, head = split_classifier(pico_classifier(3))
    save_classifier(
        body, Head(head.pooler_weight + 1, *list(head.tensors.values())[1:]), large_folder, ("a", "b"), tmp_path / "o"
    )
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "o")
    assert torch.equal(loaded.bert.pooler.dense.weight, head.pooler_weight + 1)


def test_splitting_copies(pico_classifier):
    model = pico_classifier()
    body, head = split_classifier(model)
    body["pooler.dense.bias"] += 1
    head.classifier_bias.add_(1)
    assert not torch.equal(body["pooler.dense.bias"], model.bert.pooler.dense.bias)
    assert not torch.equal(head.classifier_bias, model.classifier.bias)


def test_equal_models_are_saved_as_equal_bytes(pico_classifier, large_folder, tmp_path):
    for name in ("one", "two"):
        save_classifier(*split_classifier(pico_classifier(3)), large_folder, ("a", "b"), tmp_path / name)
    for file in ("model.safetensors", "config.json"):
        assert sha256(tmp_path / "one" / file) == sha256(tmp_path / "two" / file)


def test_what_does_not_fit_is_named_and_nothing_is_written(pico_classifier, large_folder, tmp_path):
    body, head = split_classifier(pico_classifier(3))
    with pytest.raises(ValueError, match=r"tensor classifier_weight has shape \[2, 8\], not \[3, 8\]"):
        save_classifier(body, head, large_folder, ("a", "b", "c"), tmp_path / "out")
    del body["embeddings.LayerNorm.bias"]
    with pytest.raises(ValueError, match="body to be saved: tensor embeddings.LayerNorm.bias is missing"):
        save_classifier(body, head, large_folder, ("a", "b"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
