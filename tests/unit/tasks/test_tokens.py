import itertools

import numpy as np
import pandas as pd
import pytest
from transformers import BertTokenizerFast, PreTrainedTokenizerFast

from graft.config.tasks import Task
from graft.io import files
from graft.registry.shapes import Shape
from graft.tasks.prepare import prepare_task
from graft.tasks.tokens import Column, TokenisedSplit, cut_lengths, load_tokenizer, locate_tokens, tokenize_task
from tests.unit.families import FAMILIES, write_pico


def test_cut_lengths_equal_hugging_face_longest_first(pico_models):
    tokenizer = BertTokenizerFast.from_pretrained(pico_models / "large")
    for first, second, limit in itertools.product((1, 3, 6, 9), (1, 4, 7, 12), (5, 8, 9, 12, 30)):
        ids = tokenizer(" ".join(["film"] * first), " ".join(["dog"] * second), truncation=True, max_length=limit)
        types = np.array(ids["token_type_ids"])
        theirs = int((types == 0).sum()) - 2, int((types == 1).sum()) - 1
        assert cut_lengths(first, second, max_tokens=limit) == theirs, (first, second, limit)


@pytest.mark.parametrize("task", ["sst2", "rte"])
def test_batches_equal_the_hugging_face_tokenizer(task, pico_glue, pico_models, tmp_path):
    folder = {"sst2": "SST-2", "rte": "RTE"}[task]
    spec = Task.model_validate({"source": {"kind": "tsv", "folder": str(pico_glue / folder)}})
    prepare_task(task, spec, tmp_path / "data", "x")
    tokenize_task(tmp_path / "data", pico_models / "large", tmp_path / "tokens", "x")
    split = TokenisedSplit.load(tmp_path / "tokens", "report")
    table = pd.read_parquet(tmp_path / "data" / "report.parquet")
    rows = np.array([5, 0, 17, 3])
    texts = [table[c].iloc[rows].tolist() for c in ("text_a", "text_b") if c in table]
    tokenizer = BertTokenizerFast.from_pretrained(pico_models / "large")
    theirs = tokenizer(*texts, padding=True, truncation=True, max_length=9, return_tensors="pt")
    ours = split.batch(rows, 9)
    for name in ("input_ids", "attention_mask", "token_type_ids"):
        assert ours[name].equal(theirs[name]), name
    assert split.lengths(9)[rows].tolist() == theirs["attention_mask"].sum(1).tolist()


@pytest.mark.parametrize("task", ["sst2", "rte"])
def test_located_tokens_are_where_their_characters_are(task, pico_glue, pico_models, tmp_path):
    folder = {"sst2": "SST-2", "rte": "RTE"}[task]
    spec = Task.model_validate({"source": {"kind": "tsv", "folder": str(pico_glue / folder)}})
    prepare_task(task, spec, tmp_path / "data", "x")
    tokenize_task(tmp_path / "data", pico_models / "large", tmp_path / "tokens", "x")
    locate_tokens(tmp_path / "data", pico_models / "large", tmp_path / "located", "x")
    names = {token: word for word, token in load_tokenizer(pico_models / "large").get_vocab().items()}
    for part in ("train", "select", "report"):
        split = TokenisedSplit.load(tmp_path / "tokens", part, tmp_path / "located")
        table = pd.read_parquet(tmp_path / "data" / f"{part}.parquet")
        for column, name in zip(split.columns, ("text_a", "text_b"), strict=False):
            for row, text in enumerate(table[name]):
                words = [text[start:end] for start, end in column.chars_of(row)]
                assert words == [names[token] for token in column.of(row)]
    assert TokenisedSplit.load(tmp_path / "tokens", "report").columns[0].chars is None


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("limit", [6, 7, 9, 30])
def test_batches_are_framed_as_the_familys_tokenizer_does(family, limit, tmp_path):
    folder = write_pico(tmp_path, family)
    first = ["good film", "the plot is clever and very warm", "dull"]
    second = ["a dog follows the cat" for _ in first][:1] + ["bad music", "the actor meets a woman in the city"]
    tokenizer, special = load_tokenizer(folder), Shape.of(folder).kind.special
    for columns in ([first], [first, second]):
        split = TokenisedSplit.of_texts(tokenizer, columns, "here", special)
        theirs = PreTrainedTokenizerFast.from_pretrained(folder)(
            *columns, padding=True, truncation=True, max_length=limit, return_tensors="pt"
        )
        ours = split.batch(np.arange(3), limit)
        for name in ("input_ids", "attention_mask"):
            assert ours[name].equal(theirs[name]), name
        assert split.lengths(limit).tolist() == theirs["attention_mask"].sum(1).tolist()


def test_padding_baked_into_a_tokenizer_is_overridden(pico_models, tmp_path):
    tokenizer = BertTokenizerFast.from_pretrained(pico_models / "large")
    tokenizer.backend_tokenizer.enable_padding(length=40)
    tokenizer.backend_tokenizer.enable_truncation(3)
    tokenizer.save_pretrained(tmp_path)
    files.copy_into(pico_models / "large", tmp_path, ["config.json"])
    assert len(load_tokenizer(tmp_path).encode("the film is good").ids) == 6


def test_a_tokenizer_of_another_vocabulary_is_refused(pico_models, tmp_path):
    BertTokenizerFast(vocab={"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4}).save_pretrained(tmp_path)
    config = files.read_json(pico_models / "large" / "config.json")
    files.write_json(tmp_path / "config.json", {**config, "vocab_size": 30522})
    with pytest.raises(ValueError, match="another model's tokenizer"):
        load_tokenizer(tmp_path)


def test_a_vocabulary_that_knows_none_of_the_text_is_refused(pico_models, pico_glue, tmp_path):
    words = {w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *map(str, range(50))])}
    BertTokenizerFast(vocab=words).save_pretrained(tmp_path / "model")
    config = files.read_json(pico_models / "large" / "config.json")
    files.write_json(tmp_path / "model" / "config.json", {**config, "vocab_size": len(words)})
    spec = Task.model_validate({"source": {"kind": "tsv", "folder": str(pico_glue / "RTE")}})
    prepare_task("rte", spec, tmp_path / "data", "x")
    with pytest.raises(ValueError, match="wrong vocabulary"):
        tokenize_task(tmp_path / "data", tmp_path / "model", tmp_path / "tokens", "x")
    assert not (tmp_path / "tokens").exists()


def test_taken_rows_are_a_split_like_any_other():
    offsets = np.array([0, 2, 5, 5, 9])
    columns = [Column(np.arange(9, dtype=np.int32) + shift, offsets) for shift in (10, 50)]
    whole, rows = TokenisedSplit(columns, (0, 1, 2)), np.array([3, 0, 2])
    taken = whole.taken(rows)
    assert len(taken) == 3 and (taken.lengths(8) == whole.lengths(8)[rows]).all()
    own, same = taken.batch(np.arange(3), 8), whole.batch(rows, 8)
    assert all((own[name] == same[name]).all() for name in same)
