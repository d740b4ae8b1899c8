import json
import shutil

import pytest
from tokenizers import Tokenizer
from transformers import BertTokenizerFast

from graft.io import files
from graft.tasks.alike import PROBES, check_alike, difference, read_tokenizer

WORDS = (
    "[PAD] [UNK] [CLS] [SEP] [MASK] the The quick brown fox caf cafe ##e ##\u00e9 \u00e9 a ##a e E L naive na\u00efve "
    "\u6211 \u559c \u6211\u559c\u6b22\u81ea\u7136\u8bed\u8a00\u5904\u7406 good two spaces . , !"
).split()


@pytest.fixture
def folder(tmp_path):
    """Makes a model folder with a vocabulary and a tokenizer_config.json."""

    def make(name: str, **settings: object):
        made = tmp_path / name
        made.mkdir()
        (made / "vocab.txt").write_text("\n".join(WORDS) + "\n")
        files.write_json(made / "tokenizer_config.json", {"tokenizer_class": "BertTokenizer", **settings})
        return made

    return make


def saved(folder, target):
    """The same tokenizer as transformers saves it: a tokenizer.json."""
    BertTokenizerFast.from_pretrained(folder).save_pretrained(target)
    return target


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"do_lower_case": False},
        {"strip_accents": False},
        {"do_lower_case": False, "strip_accents": True},
        {"tokenize_chinese_chars": False},
    ],
)
def test_a_vocabulary_with_settings_reads_as_transformers_reads_it(folder, tmp_path, settings):
    made = folder("plain", **settings)
    theirs, ours = BertTokenizerFast.from_pretrained(made), read_tokenizer(made)
    for text in PROBES:
        assert ours.encode(text, add_special_tokens=False).ids == theirs(text, add_special_tokens=False)["input_ids"]
    check_alike(made, saved(made, tmp_path / "saved"))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"do_lower_case": False}, "The quick"),
        ({"strip_accents": False}, "naïve|lève"),
        ({"tokenize_chinese_chars": False}, "我喜欢"),
    ],
)
def test_one_vocabulary_that_is_read_differently_is_refused(folder, tmp_path, settings, text):
    one, other = folder("one"), folder("other", **settings)
    with pytest.raises(ValueError, match=text):
        check_alike(one, other)
    with pytest.raises(ValueError, match="read differently .*both must read alike"):
        check_alike(saved(one, tmp_path / "a"), saved(other, tmp_path / "b"))


def test_a_word_that_one_vocabulary_alone_has_is_named(pico_models, tmp_path):
    check_alike(pico_models / "small", pico_models / "large")
    words = (pico_models / "small" / "vocab.txt").read_text().split()
    words[6], words[7] = words[7], words[6]
    BertTokenizerFast(vocab={w: i for i, w in enumerate(words)}).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=f"the vocabularies differ at '{min(words[6:8])}'"):
        check_alike(pico_models / "large", tmp_path)


def test_settings_that_transformers_would_not_follow_are_refused(folder, tmp_path):
    made = saved(folder("cased", do_lower_case=False), tmp_path / "saved")
    assert read_tokenizer(made).encode("The").tokens[1] == "The"
    settings = files.read_json(made / "tokenizer_config.json")
    files.write_json(made / "tokenizer_config.json", {**settings, "do_lower_case": True})
    with pytest.raises(ValueError, match="lowercase is false, but transformers reads it with do_lower_case true"):
        read_tokenizer(made)
    # Left out, transformers lower-cases as well, whatever tokenizer.json says.
    (made / "tokenizer_config.json").unlink()
    assert BertTokenizerFast.from_pretrained(made).tokenize("The") == ["the"]
    with pytest.raises(ValueError, match="by leaving it out; make them agree"):
        read_tokenizer(made)


def test_how_texts_were_last_cut_and_filled_up_makes_no_difference(folder, tmp_path):
    one = saved(folder("one"), tmp_path / "a")
    other = shutil.copytree(one, tmp_path / "b")
    tokenizer = Tokenizer.from_file(str(other / "tokenizer.json"))
    tokenizer.enable_padding(length=128)
    tokenizer.enable_truncation(5)
    tokenizer.save(str(other / "tokenizer.json"))
    check_alike(one, other)


def test_tokens_that_were_added_are_part_of_a_tokenizer(folder):
    one, other = folder("one"), folder("other")
    files.write_json(other / "added_tokens.json", {"<x>": len(WORDS)})
    assert difference(read_tokenizer(one), read_tokenizer(other)) == "the vocabularies differ at '<x>'"
    assert BertTokenizerFast.from_pretrained(other).tokenize("<x>") == read_tokenizer(other).encode("<x>").tokens[1:-1]


def test_tokenizers_of_other_kinds_are_compared_by_their_files(tmp_path):
    for name, content in (("a", b"one"), ("b", b"one"), ("c", b"two"), ("d", None)):
        (tmp_path / name).mkdir()
        if content:
            (tmp_path / name / "spiece.model").write_bytes(content)
    check_alike(tmp_path / "a", tmp_path / "b")
    check_alike(tmp_path / "a", tmp_path / "d")
    with pytest.raises(ValueError, match="spiece.model differs"):
        check_alike(tmp_path / "a", tmp_path / "c")


def test_a_file_that_is_no_tokenizer_is_named(tmp_path):
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": 1}))
    with pytest.raises(ValueError, match="tokenizer.json: not a tokenizer"):
        read_tokenizer(tmp_path)


def test_a_text_that_one_reads_on_is_shown_from_there(pico_models):
    one = Tokenizer.from_file(str(pico_models / "small" / "tokenizer.json"))
    other = Tokenizer.from_str(one.to_str().replace('"handle_chinese_chars":true', '"handle_chinese_chars":false'))
    # Both read only unknown words, one of them more.
    assert difference(one, other).endswith("('[UNK] [UNK] [UNK]' and '')")
