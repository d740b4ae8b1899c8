"""Masked language modelling on pico models: what is masked, that the loss falls, equal seeds give equal bytes."""

import json

import pytest
import torch

from graft.config.models import MaskedOptions
from graft.encoders.models import load_encoder
from graft.flops.counts import masked_lm_flops
from graft.io.files import read_json, sha256
from graft.registry.shapes import Shape
from graft.training.initial import initialise_model
from graft.training.masked_lm import NOTHING, Vocabulary, mask, masked_batches, pretrain_model
from graft.training.unlabelled import Running, encode, epochs
from tests.conftest import GOOD, THINGS, VERBS, VOCABULARY, write_bert

OPTIONS = MaskedOptions(steps=60, batch_size=16, learning_rate=1e-2, log_every=20)
SPECIAL = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4}


def changed_options(**changes):
    return OPTIONS.model_copy(update=changes)


@pytest.fixture
def like(tmp_path):
    return write_bert(tmp_path / "like", layers=2, width=12, heads=2, seed=0)


@pytest.fixture
def vocabulary(like):
    return Vocabulary.of(like)


@pytest.fixture
def texts():
    """Sentences with an order: a word can be guessed from the words beside it."""
    draws = torch.Generator().manual_seed(0)

    def sentence() -> str:
        who, does = (int(torch.randint(6, (), generator=draws)) for _ in range(2))
        return f"the {GOOD[who]} {THINGS[who]} {VERBS[does]} a {GOOD[does]} {THINGS[does]}"

    return [sentence() for _ in range(60)] + [(sentence(), sentence()) for _ in range(60)]


def batch_of(like, texts, vocabulary, share=0.15, seed=0):
    draws = torch.Generator().manual_seed(seed)
    return next(masked_batches(epochs(encode(like, texts, 64), len(texts), draws), vocabulary, share, draws))


def test_the_loss_falls_below_that_of_guessing_by_frequency_and_the_log_says_so(like, texts, tmp_path):
    seen = []
    result = pretrain_model(
        *(like, texts, OPTIONS, tmp_path / "out", 0),
        Running(progress=seen.append, log_path=tmp_path / "log.jsonl"),
    )
    assert [record["step"] for record in result.curve] == [20, 40, 60]
    assert [set(record) for record in result.curve] == [{"step", "loss"}] * 3
    words = torch.tensor([torch.tensor(ids) for ids, _ in encode(like, texts, 64) for ids in ids if ids > 4])
    shares = torch.bincount(words).float() / len(words)
    by_frequency = -float((shares * shares.clamp_min(1e-9).log()).sum())
    assert result.curve[0]["loss"] > by_frequency > result.curve[-1]["loss"]
    assert [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()] == seen
    assert [record["loss"] for record in seen] == [record["loss"] for record in result.curve]


def test_the_result_is_an_encoder_like_the_other_with_its_tokenizer_and_a_pooler_as_drawn(like, texts, tmp_path):
    out = tmp_path / "out"
    pretrain_model(like, texts, changed_options(steps=2), out, 0)
    assert Shape.of(out) == Shape.of(like)
    encoder, untrained = load_encoder(out), load_encoder(initialise_model(like, tmp_path / "untrained", 0))
    assert all(torch.isfinite(tensor).all() for tensor in encoder.state_dict().values())
    assert torch.equal(encoder.pooler.dense.weight, untrained.pooler.dense.weight)
    assert not torch.equal(encoder.embeddings.word_embeddings.weight, untrained.embeddings.word_embeddings.weight)
    assert sha256(out / "tokenizer.json") == sha256(like / "tokenizer.json")
    assert read_json(out / "config.json")["architectures"] == ["BertModel"]
    assert {file.name for file in out.iterdir()} <= {file.name for file in like.iterdir()}


def test_equal_seeds_give_equal_bytes_and_other_seeds_do_not(like, texts, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        pretrain_model(like, texts, changed_options(steps=3), tmp_path / name, seed)
    first, again, other = (sha256(tmp_path / name / "model.safetensors") for name in "abc")
    assert first == again != other


def test_special_tokens_and_padding_are_never_guessed_nor_shown_in_the_place_of_words(like, texts, vocabulary):
    for seed in range(5):
        plain = {tuple(ids) for ids, _ in encode(like, texts, 64)}
        batch = batch_of(like, texts, vocabulary, share=0.9, seed=seed)
        ids, labels, real = batch["input_ids"], batch["labels"], batch["attention_mask"].bool()
        assert not torch.isin(labels, torch.tensor(list(SPECIAL.values()))).any()
        assert (labels[~real] == NOTHING).all() and (ids[~real] == 0).all()
        told = torch.where(labels == NOTHING, ids, labels)
        assert {tuple(row[: n.sum()].tolist()) for row, n in zip(told, real, strict=True)} <= plain
        shown = ids[labels != NOTHING]
        assert not torch.isin(
            shown, torch.tensor([SPECIAL[name] for name in ("[PAD]", "[UNK]", "[CLS]", "[SEP]")])
        ).any()


def test_each_text_has_its_share_of_guesses_and_one_at_least(like, vocabulary):
    texts = ["film", "the film", " ".join(["film"] * 20), (" ".join(["plot"] * 20), " ".join(["film"] * 20))]
    for seed in range(5):
        batch = batch_of(like, texts, vocabulary, seed=seed)
        assert sorted((batch["labels"] != NOTHING).sum(1).tolist()) == [1, 1, 3, 6]


def test_of_the_guesses_80_percent_are_masked_and_half_of_the_others_replaced(vocabulary):
    draws = torch.Generator().manual_seed(0)
    ids = torch.full((400, 100), VOCABULARY.index("film"))
    shown, guessed = mask(ids, torch.ones_like(ids, dtype=torch.bool), vocabulary, 0.15, draws)
    assert (guessed.sum(1) == 15).all() and torch.equal(shown[~guessed], ids[~guessed])
    masked, kept = (shown[guessed] == SPECIAL["[MASK]"]), (shown[guessed] == ids[guessed])
    assert masked.float().mean().item() == pytest.approx(0.8, abs=0.02)
    # A random token is the old one by chance, one time in as many as there are words.
    assert kept.float().mean().item() == pytest.approx(0.1 + 0.1 / (len(VOCABULARY) - 5), abs=0.015)
    # Every place is as likely as any other, and every word is drawn.
    assert guessed.float().mean(0).max() < 0.25 and guessed.float().mean(0).min() > 0.07
    assert set(shown[guessed].tolist()) == set(range(4, len(VOCABULARY)))


def test_what_is_masked_depends_on_the_seed_alone_and_changes_between_epochs(like, texts, vocabulary):
    first, again, other = (batch_of(like, texts, vocabulary, seed=seed)["labels"] for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    draws = torch.Generator().manual_seed(0)
    batches = masked_batches(epochs(encode(like, texts[:1], 64), 1, draws), vocabulary, 0.15, draws)
    places = {tuple(next(batches)["labels"][0].tolist()) for _ in range(20)}
    assert len(places) > 1


def test_flops_are_those_of_the_steps_on_what_was_guessed(like, tmp_path):
    texts = ["the film"] * 8  # 4 tokens each with [CLS] and [SEP], one of two to be guessed
    result = pretrain_model(like, texts, changed_options(steps=3, batch_size=4), tmp_path / "out", 0)
    assert result.flops == 3 * masked_lm_flops(Shape.of(like), 4, 4, 4)


def test_texts_without_a_word_are_left_out_and_nothing_else_is_an_error(like, tmp_path):
    some = pretrain_model(like, ["the film", "", "xyzzy"], changed_options(steps=2, batch_size=4), tmp_path / "a", 0)
    assert some.flops == 2 * masked_lm_flops(Shape.of(like), 1, 4, 1)
    for texts in ([], ["", "xyzzy"]):
        with pytest.raises(ValueError, match="no texts"):
            pretrain_model(like, texts, OPTIONS, tmp_path / "out", 0)


def test_a_vocabulary_without_a_mask_is_an_error(like, tmp_path):
    text = (like / "tokenizer.json").read_text().replace("[MASK]", "[NONE]")
    (like / "tokenizer.json").write_text(text)
    with pytest.raises(ValueError, match=r"tokenizer.json: no token \[MASK\]"):
        pretrain_model(like, ["the film"], OPTIONS, tmp_path / "out", 0)


def test_a_loss_that_is_not_finite_is_reported_with_its_step(like, texts, tmp_path):
    options = changed_options(steps=20, learning_rate=1e30, log_every=1)
    with pytest.raises(
        ValueError, match=r"pre-training like .*: the loss is not finite at step \d+; lower learning_rate"
    ):
        pretrain_model(like, texts, options, tmp_path / "out", 0)
