"""Tokens that two vocabularies share by their surface form, whatever marks the beginning of a word in each of them."""

import functools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from tokenizers import Tokenizer

from graft.registry.families.family import Special
from graft.registry.shapes import Shape
from graft.tasks.alike import PROBES
from graft.tasks.spans import NONE, PairedSplit, align
from graft.tasks.tokens import TokenisedSplit, load_tokenizer


class Form(NamedTuple):
    """A token's text, or a special token's purpose, and whether a word begins with it; None where that says nothing, as
    for punctuation, which some tokenizers always split off."""

    text: str
    starts: bool | None
    special: bool = False


@dataclass(frozen=True)
class Reader:
    """A model's tokenizer and special tokens, and how many tokens it embeds."""

    tokenizer: Tokenizer
    special: Special
    embedded: int

    @classmethod
    def of(cls, folder: str | Path) -> Self:
        """Read a model folder; raises ValueError like `load_tokenizer`."""
        shape = Shape.of(folder)
        return cls(load_tokenizer(folder), shape.kind.special, shape.vocabulary)

    def read(self, columns: list[list[str]], where: str, chars: bool = False) -> TokenisedSplit:
        """Tokenise one column of texts, or two of pairs, as `TokenisedSplit.of_texts`."""
        return TokenisedSplit.of_texts(self.tokenizer, columns, where, self.special, chars)


def read_by(readers: Sequence[Reader], columns: list[list[str]], where: str) -> TokenisedSplit | PairedSplit:
    """Tokenise texts for the large model or, if there are two readers, for a large and a small one."""
    found = [reader.read(columns, where, len(readers) > 1) for reader in readers]
    return PairedSplit(found[0], found[1]) if len(found) > 1 else found[0]


def check_spans(large: Reader, small: Reader, where: str) -> None:
    """Raise ValueError if two tokenizers give no character offsets, or have no span of text in common."""
    several = 0
    for text in PROBES:
        codes = (reader.tokenizer.encode(text, add_special_tokens=False) for reader in (large, small))
        chars = [np.asarray(code.offsets, np.int64).reshape(-1, 2) for code in codes]
        several += int(align(*chars)[0].max(initial=NONE)) > 0
    # In a text that is one span there is no place at which both tokenizers cut.
    if several <= len(PROBES) // 2:
        raise ValueError(
            f"{where}: the two tokenizers have no span of text in common, or give no character offsets; merging two "
            "vocabularies needs tokenizers that split the same texts at some of the same places"
        )


def shared_rows(small: Reader, large: Reader) -> np.ndarray:
    """The small model's token with the surface form of each token that the large one embeds; -1 where it has none.

    Special tokens match by their purpose, if any other token matches. Where the small vocabulary has a form twice, its
    lowest id stands for it.
    """
    known: dict[Form, int] = {}
    for token, form in _forms(small.tokenizer, small.special):
        known.setdefault(form, token)
    rows, words = np.full(large.embedded, -1), False
    for token, form in _forms(large.tokenizer, large.special):
        rows[token] = known.get(form, -1)
        words = words or (rows[token] >= 0 and not form.special)
    return rows if words else np.full_like(rows, -1)


def _forms(tokenizer: Tokenizer, special: Special) -> Iterator[tuple[int, Form]]:
    """Ids, in rising order, and surface forms."""
    purposes = {token: purpose for purpose, token in vars(special).items() if purpose != "between"}
    said = json.loads(tokenizer.to_str())
    model, marked = said["model"], json.dumps([said.get("pre_tokenizer"), said.get("decoder")])
    for token, number in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1]):
        text, starts = token, True
        if token in purposes:
            yield number, Form(purposes[token], None, True)
            continue
        if model["type"] == "WordPiece":
            starts = not token.startswith(model["continuing_subword_prefix"])
            text = token if starts else token.removeprefix(model["continuing_subword_prefix"])
        elif model["type"] != "WordLevel":
            if "ByteLevel" in marked and all(letter in _bytes() for letter in token):
                # Bytes that are no whole letter stay what they are, and match no text.
                text = bytes(_bytes()[letter] for letter in token).decode(errors="surrogateescape").replace(" ", "▁", 1)
            starts = text.startswith("▁")
            text = text.removeprefix("▁")
        yield number, Form(text, starts if any(map(str.isalnum, text)) else None)


@functools.cache
def _bytes() -> dict[str, int]:
    """Byte by the letter that stands for it in vocabularies of bytes, as GPT-2 introduced them."""
    shown = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {chr(256 + n): byte for n, byte in enumerate(hidden)}
