"""Compare two tokenizers: by their vocabularies, and by their tokens for texts that expose differences in settings.

Imports no torch.
"""

import json
from pathlib import Path
from typing import Any

from tokenizers import BertWordPieceTokenizer, Tokenizer

from graft.io import files
from graft.io.model_folders import read_keys

# Case, accents (composed and decomposed), Chinese, Japanese and Korean, emoji, white space of all kinds, control
# characters, digits, punctuation, special tokens as text, overlong words and nonsense words.
PROBES = (
    "The quick Brown FOX jumps over the lazy dog.",
    "Élève naïve, façade, Zürich, Ångström, İstanbul, STRASSE straße",
    "e\u0301le\u0300ve nai\u0308ve",
    "我喜欢自然语言处理。Graft 融合模型！",
    "日本語のテキスト と 한국어 텍스트",
    "good 👍🏽 film 🎬 👩\u200d👩\u200d👧 :-)",
    "two  spaces\ttab\nline\r\nbreak\u00a0no-break\u3000wide\u200bzero\u2028line",
    "bell\x07 null\x00 soft\u00adhyphen \ufeffmark \ufffd",
    "3.14159, 1,000,000 and 2e-5; 50% of $20 = €10 (½)",
    "don't can't “quoted” ‘single’ -- a–b—c … http://a.b/c?d=e#f user@host",
    "[CLS] a [SEP] b [MASK] c [UNK] [PAD] <s> </s> <mask>",
    "antidisestablishmentarianism " + "x" * 120 + " zzzzqqqq",
    "русский текст, Ελληνικά, עברית, العربية, हिन्दी, ไทย",
    " leading and trailing ",
    "",
)
# Keys of tokenizer_config.json: the default in transformers, and the key's name in tokenizer.json.
SETTINGS = {
    "do_lower_case": (True, "lowercase"),
    "strip_accents": (None, "strip_accents"),
    "tokenize_chinese_chars": (True, "handle_chinese_chars"),
}
# Classes that use tokenizer.json unchanged; BERT's own sets the normalizer from tokenizer_config.json.
AS_WRITTEN = ("PreTrainedTokenizerFast", "TokenizersBackend")
# Source files of other kinds of tokenizers.
SOURCES = ("spiece.model", "sentencepiece.bpe.model", "tokenizer.model", "vocab.json", "merges.txt")


def read_tokenizer(folder: Path) -> Tokenizer | None:
    """Read the tokenizer of a model folder from tokenizer.json or BERT's vocab.txt; None if it has neither.

    Padding and truncation, which some folders bake in, are switched off. Raises ValueError if a file cannot be read, or
    if tokenizer.json contradicts tokenizer_config.json.
    """
    settings = _settings(folder)
    if (folder / "tokenizer.json").is_file():
        tokenizer = _of_json(folder / "tokenizer.json", settings)
    elif (folder / "vocab.txt").is_file():
        tokenizer = _of_words(folder, settings)
    else:
        return None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def difference(one: Tokenizer, other: Tokenizer) -> str | None:
    """Describe the first difference between two tokenizers, in vocabulary or on a text; None if there is none."""
    ours, theirs = one.get_vocab(), other.get_vocab()
    if ours != theirs:
        return f"the vocabularies differ at {min(set(ours.items()) ^ set(theirs.items()))[0]!r}"
    for text in PROBES:
        mine, others = (tokenizer.encode(text, add_special_tokens=False) for tokenizer in (one, other))
        if mine.ids != others.ids:
            pairs = enumerate(zip(mine.ids, others.ids, strict=False))
            # If one is a prefix of the other, they differ from its end on.
            at = next((i for i, (ours, theirs) in pairs if ours != theirs), min(len(mine.ids), len(others.ids)))
            words = " and ".join(repr(" ".join(found.tokens[at:][:3])) for found in (mine, others))
            return f"{text[:30]!r} is read differently ({words})"
    return None


def check_alike(one: Path, other: Path) -> None:
    """Raise ValueError if the tokenizers of two folders differ, as far as both folders have one."""
    if found := apart(one, other):
        raise ValueError(f"{other}: its tokenizer differs from that of {one}: {found}; both must read alike")


def apart(one: Path, other: Path) -> str | None:
    """Describe the first difference between the tokenizers of two folders, as far as both folders have one."""
    if _same_file(one, other, "tokenizer.json") and _settings(one) == _settings(other):
        return None
    ours, theirs = read_tokenizer(one), read_tokenizer(other)
    if ours is not None and theirs is not None:
        return difference(ours, theirs)
    shared = [name for name in SOURCES if (one / name).is_file() and (other / name).is_file()]
    return next((f"{name} differs" for name in shared if not _same_file(one, other, name)), None)


def _of_words(folder: Path, settings: dict[str, Any]) -> Tokenizer:
    values = {name: settings.get(key, default) for key, (default, name) in SETTINGS.items()}
    try:
        tokenizer = Tokenizer.from_str(BertWordPieceTokenizer(str(folder / "vocab.txt"), **values).to_str())
    except Exception as error:  # tokenizers raises no narrower kind
        raise ValueError(f"{folder / 'vocab.txt'}: not a BERT vocabulary ({' '.join(str(error).split())})") from None
    if (folder / "added_tokens.json").is_file():
        added = read_keys(folder / "added_tokens.json")
        tokenizer.add_tokens(sorted(added, key=added.__getitem__))
    return tokenizer


def _of_json(path: Path, settings: dict[str, Any]) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(path))
        normalizer = json.loads(path.read_text(encoding="utf-8")).get("normalizer") or {}
    except Exception as error:  # tokenizers raises no narrower kind
        raise ValueError(f"{path}: not a tokenizer ({' '.join(str(error).split())})") from None
    if normalizer.get("type") != "BertNormalizer" or settings.get("tokenizer_class") in AS_WRITTEN:
        return tokenizer
    for key, (default, name) in SETTINGS.items():
        said = settings.get(key, default)
        if normalizer.get(name) != said:
            raise ValueError(
                f"{path}: {name} is {json.dumps(normalizer.get(name))}, but transformers reads it with {key} "
                f"{json.dumps(said)}, as tokenizer_config.json says{'' if key in settings else ' by leaving it out'}; "
                "make them agree"
            )
    return tokenizer


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / "tokenizer_config.json"
    return read_keys(path) if path.is_file() else {}


def _same_file(one: Path, other: Path, name: str) -> bool:
    a, b = one / name, other / name
    return a.is_file() and b.is_file() and files.sha256(a) == files.sha256(b)
