"""Merges of two folders whose models have two vocabularies."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import AutoModelForSequenceClassification, BertTokenizerFast

import graft
from graft.cli.merge_folders import merge
from graft.cli.merge_orders import Order, summary
from graft.config.models import PathModel
from graft.encoders.models import new_classifier
from graft.encoders.pretrained import fetch_model
from graft.encoders.saving import save_model
from graft.io.progress import silent
from graft.registry import methods
from tests.conftest import VOCABULARY, sentiment_rows
from tests.unit.families import FAMILIES, write_pico

LABELS = ("negative", "positive")
CLOSED = ("concat_probe", "logit_ensemble", "proxy_tuning", "stitch")
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "vocab.txt")


def rows(count=200, seed=0):
    return [(text, LABELS[label]) for text, label in sentiment_rows(np.random.default_rng(seed), count)]


def tuned(small, out):
    """Write a classifier that is not far from a pre-trained small model."""
    model = new_classifier(small, LABELS, seed=3)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    save_model(model, out)
    for name in TOKENIZER:
        if (small / name).is_file():
            shutil.copy(small / name, out)


def reordered(folder, out, name):
    """Copy a BERT with its vocabulary in another order; `name`: of its word embeddings."""
    shutil.copytree(folder, out)
    order = np.random.default_rng(0).permutation(len(VOCABULARY))
    weights = load_file(out / "model.safetensors")
    save_file({**weights, name: weights[name][order]}, out / "model.safetensors", {"format": "pt"})
    (out / "vocab.txt").write_text("\n".join(np.array(VOCABULARY)[order]) + "\n")
    BertTokenizerFast(vocab=str(out / "vocab.txt")).save_pretrained(out)
    config = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps(config | {"pad_token_id": int(np.flatnonzero(order == 0)[0])}))


@pytest.fixture(scope="module")
def world(pico_models, tmp_path_factory):
    """Folders: large; small and small-tuned; the same with another order of the vocabulary."""
    root = tmp_path_factory.mktemp("world")
    for name in ("large", "small"):
        shutil.copytree(pico_models / name, root / name)
    tuned(root / "small", root / "small-tuned")
    word = "embeddings.word_embeddings.weight"
    reordered(root / "small", root / "other", word)
    reordered(root / "small-tuned", root / "other-tuned", f"bert.{word}")
    return root


def merged(world, small, method, **given):
    texts = [text for text, _ in rows()]
    folders = (world / name for name in ("large", f"{small}-tuned", small))
    return graft.merge(*folders, method=method, texts=texts, **given)


@pytest.mark.parametrize("method", methods.table("weights"))
def test_a_merge_with_a_vocabulary_in_another_order_is_the_same_bit_for_bit(method, world):
    heads = methods.facts(method).heads
    given = {"head": "label-free"} if heads else {}
    one, two = (merged(world, small, method, **given).state_dict() for small in ("small", "other"))
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("method", CLOSED)
def test_a_composite_answers_the_same_anywhere_and_has_both_tokenizers(method, world, tmp_path):
    texts = [text for text, _ in rows(40, seed=1)]
    one, two = (merged(world, small, method, labelled=rows(), out=tmp_path / small) for small in ("small", "other"))
    assert np.array_equal(one.logits(texts), two.logits(texts))
    assert not (tmp_path / "small" / "tokenizer-small").exists()
    read = Tokenizer.from_file(str(tmp_path / "other" / "tokenizer-small" / "tokenizer.json"))
    assert read.get_vocab() == Tokenizer.from_file(str(world / "other" / "tokenizer.json")).get_vocab()
    moved = graft.load((tmp_path / "other").rename(tmp_path / "moved"))
    assert np.array_equal(moved.logits(texts), one.logits(texts))


@pytest.mark.parametrize(
    ("large", "small"), [("mpnet", "bert"), ("bert", "roberta"), ("roberta", "distilbert"), ("electra", "mpnet")]
)
def test_families_with_other_vocabularies_merge_into_one_another(large, small, tmp_path):
    assert {large, small} <= set(FAMILIES)
    for name, family, size in (("large", large, "large"), ("small", small, "small")):
        write_pico(tmp_path / name, family, size)
    fetch_model(PathModel(kind="path", folder=str(tmp_path / "small")), "small", tmp_path / "fetched", "")
    tuned(tmp_path / "fetched", tmp_path / "small-tuned")
    made = merged(tmp_path, "small", "spacewise", head="label-free", out=tmp_path / "merged")
    assert made.config.model_type == large
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "merged")
    assert all(torch.isfinite(tensor).all() for tensor in again.state_dict().values())
    word = next(name for name in load_file(tmp_path / "large" / "model.safetensors") if "word_embeddings" in name)
    before, after = (
        load_file(tmp_path / "large" / "model.safetensors")[word],
        made.state_dict()[f"{made.base_model_prefix}.{word}"],
    )
    assert (before != after).any(1).float().mean() > 0.9  # of tokens, which all are shared
    system = merged(tmp_path, "small", "stitch", labelled=rows())
    assert len(system.readers) == 2 and np.isfinite(system.logits(["a good film"])).all()


def order(world, tmp_path, small="other", **changes):
    (tmp_path / "text.txt").write_text("\n".join(text for text, _ in rows()) + "\n")
    models = {"large": world / "large", "small_finetuned": world / f"{small}-tuned", "small_pretrained": world / small}
    given = {"method": "spacewise", **models, "text": tmp_path / "text.txt", "out": tmp_path / "merged"}
    return Order(**{**given, **changes})


def test_a_plan_says_how_many_spans_there_are(world, tmp_path):
    one, two = (merge(order(world, tmp_path, small), silent, dry_run=True) for small in ("small", "other"))
    assert (one.spans, two.spans) == (0, two.tokens) and one.flops == two.flops
    said = [str(vars(part).get("_text", "")) for part in summary(two)]
    assert any(f"{two.tokens} tokens, {two.spans} spans" in line for line in said)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ("whole texts", "have no span of text in common"),
        ("slow", "contains neither tokenizer.json nor vocab.txt"),
        ("two small ones", "its tokenizer differs from that of .* both must read alike"),
    ],
)
def test_tokenizers_that_cannot_be_compared_are_refused_in_one_sentence(spoil, message, world, tmp_path):
    for name in ("other", "other-tuned"):
        shutil.copytree(world / name, tmp_path / name)
        if spoil == "whole texts":
            path = tmp_path / name / "tokenizer.json"
            path.write_text(json.dumps(json.loads(path.read_text()) | {"pre_tokenizer": None}))
        if spoil == "slow":
            for file in TOKENIZER:
                (tmp_path / name / file).unlink(missing_ok=True)
            (tmp_path / name / "spiece.model").write_bytes(b"\x0a\x07")
    if spoil == "two small ones":
        for file in TOKENIZER:
            shutil.copy(world / "small" / file, tmp_path / "other-tuned" / file)
    models = {"small_finetuned": tmp_path / "other-tuned", "small_pretrained": tmp_path / "other"}
    with pytest.raises(ValueError, match=message) as said:
        merge(order(world, tmp_path, **models), silent)
    assert "\n" not in str(said.value) and not (tmp_path / "merged").exists()
