"""Tokens that two vocabularies share, and pairs of tokenizers that cannot be compared."""

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from graft.registry.families import FAMILIES
from graft.tasks.spans import PairedSplit
from graft.tasks.tokens import TokenisedSplit
from graft.tasks.vocabularies import Reader, check_spans, read_by, shared_rows

BERT, ROBERTA = FAMILIES["bert"].special, FAMILIES["roberta"].special


def pieces(*words):
    """A WordPiece tokenizer, as BERT's."""
    vocabulary = {token: n for n, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return Reader(tokenizer, BERT, len(vocabulary))


def of_bytes(*words, embedded=0):
    """A tokenizer of bytes, as RoBERTa's, that joins no two tokens."""
    vocabulary = {token: n for n, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", *words, "<mask>"])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(), decoders.ByteLevel()
    return Reader(tokenizer, ROBERTA, embedded or len(vocabulary))


def of_metaspace(*words):
    """A tokenizer of pieces that begin with the space before them, as XLM-RoBERTa's."""
    vocabulary = [(token, -1.0) for token in ["<s>", "<pad>", "</s>", "<unk>", *words, "<mask>"]]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return Reader(tokenizer, ROBERTA, len(vocabulary))


def shared(small, large):
    """Pairs of tokens, of the large and of the small vocabulary."""
    rows = shared_rows(small, large)
    names = [{number: token for token, number in reader.tokenizer.get_vocab().items()} for reader in (large, small)]
    return {names[0][large]: names[1][small] for large, small in enumerate(rows) if small >= 0}


SPECIAL = {"<pad>": "[PAD]", "<unk>": "[UNK]", "<s>": "[CLS]", "</s>": "[SEP]", "<mask>": "[MASK]"}


def test_words_and_pieces_of_words_are_told_apart_in_every_kind_of_vocabulary():
    bert = pieces("film", "##film", "good", "élan", ",", "##s", "[unused1]")
    expected = SPECIAL | {"Ġfilm": "film", "film": "##film", "ĠÃ©lan": "élan", "Ġ,": ",", ",": ",", "s": "##s"}
    assert shared(bert, of_bytes("Ġfilm", "film", "Ġbad", "ĠÃ©lan", "Ġ,", ",", "s", "Ã")) == expected
    expected = SPECIAL | {"▁film": "film", "film": "##film", "▁élan": "élan", "▁,": ",", ",": ",", "s": "##s"}
    assert shared(bert, of_metaspace("▁film", "film", "▁bad", "▁élan", "▁,", ",", "s", "▁")) == expected
    assert shared(bert, bert) == {token: token for token in bert.tokenizer.get_vocab()}


def test_of_several_tokens_with_one_form_the_first_stands_for_it():
    assert shared(of_bytes(",", "Ġ,"), pieces(","))[","] == ","
    assert shared(of_bytes("Ġ,", ","), pieces(","))[","] == "Ġ,"


def test_rows_beyond_the_vocabulary_and_words_called_like_special_tokens_are_shared_by_none():
    small = pieces("<s>", "film")
    rows = shared_rows(small, of_bytes("Ġfilm", "[CLS]", embedded=9))
    assert rows.tolist() == [2, 0, 3, 1, 6, -1, 4, -1, -1]


def test_cases_are_different_words():
    assert "ĠFilm" not in shared(pieces("film"), of_bytes("ĠFilm"))


def test_two_readers_give_both_models_their_tokens():
    one, other = pieces("a", "film", "films"), pieces("a", "fi", "##lm", "##s")
    assert isinstance(read_by([one], [["a film"]], "texts"), TokenisedSplit)
    pair = read_by([one, other], [["a films", "film a"]], "texts")
    assert isinstance(pair, PairedSplit)
    assert [side.tolist() for side in pair.spans(0, 16)] == [[0, 1, 2, 3], [0, 1, 2, 2, 2, 3]]


def whole_texts():
    """A tokenizer for which every text is one token."""
    reader = pieces()
    reader.tokenizer.pre_tokenizer = None
    return reader


def without_offsets():
    """A tokenizer that loses every letter's place."""
    reader = pieces("film")
    reader.tokenizer.normalizer = normalizers.Sequence([normalizers.Replace(" ", ""), normalizers.Replace("x", "")])
    reader.tokenizer.pre_tokenizer = None
    return reader


@pytest.mark.parametrize("other", [whole_texts, without_offsets])
def test_tokenizers_that_cut_texts_at_no_common_place_are_refused_in_one_sentence(other):
    check_spans(pieces("film"), pieces("fi", "##lm"), "pairs")
    with pytest.raises(
        ValueError, match=r"^pairs: small and large: the two tokenizers have no span .* same places$"
    ) as said:
        check_spans(pieces("film"), other(), "pairs: small and large")
    assert "\n" not in str(said.value)


def test_real_kinds_of_tokenizers_agree_on_words():
    letters = sorted({chr(byte) for byte in range(33, 127)})
    bert = pieces(*letters, *(f"##{letter}" for letter in letters))
    check_spans(bert, of_bytes(*letters, "Ġ"), "pairs")
    pair = read_by([bert, of_bytes(*letters, "Ġ")], [["a film, and so on"]], "texts")
    one, other = pair.spans(0, 64)
    assert sorted(set(one)) == sorted(set(other[other >= 0])) and len(np.unique(one)) == 15
    assert (other == -1).sum() == 4  # spaces, of which BERT has no tokens
