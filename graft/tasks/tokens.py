"""Texts as token ids: computed once per (task, tokenizer), memory-mapped, and truncated only when a batch is built."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as parquet
from tokenizers import Tokenizer

from graft.io import files
from graft.registry.families.family import Special
from graft.registry.shapes import Shape
from graft.tasks import alike

if TYPE_CHECKING:
    import torch

SPLITS = ("train", "select", "report")
# Above this share of unknown tokens, the tokenizer does not fit the text.
MOST_UNKNOWN = 0.25


@dataclass(frozen=True)
class Column:
    """One text column: `ids` of all rows concatenated, row i at ids[offsets[i]:offsets[i+1]], no special tokens.

    `chars` [tokens, 2]: where each token begins and ends in its text, if a pair of two vocabularies needs that.
    """

    ids: np.ndarray
    offsets: np.ndarray
    chars: np.ndarray | None = None

    @classmethod
    def load(cls, folder: Path, name: str, located: Path | None = None) -> Column:
        """Memory-map a column written by `tokenize_task` and, into the folder `located`, by `locate_tokens`."""
        paths = [folder / f"{name}.ids.npy", folder / f"{name}.offsets.npy"]
        paths += [located / f"{name}.chars.npy"] if located else []
        return cls(*(np.load(path, mmap_mode="r") for path in paths))

    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets)

    def of(self, row: int) -> np.ndarray:
        """The ids of a row."""
        return self.ids[self.offsets[row] : self.offsets[row + 1]]

    def chars_of(self, row: int) -> np.ndarray:
        """The first character of each token of a row, and the one after its last. [t, 2]"""
        assert self.chars is not None
        return self.chars[self.offsets[row] : self.offsets[row + 1]]

    def taken(self, rows: np.ndarray) -> Column:
        ids = [self.of(row) for row in rows]
        offsets = np.concatenate([[0], np.cumsum([len(row) for row in ids])])
        chars = None if self.chars is None else np.concatenate([self.chars_of(row) for row in rows])
        return Column(np.concatenate(ids), offsets, chars)


@dataclass(frozen=True)
class TokenisedSplit:
    """One split of a task as token ids: one column, or two of pairs.

    special: ids of [PAD], [CLS], [SEP] or their likes; between: how many [SEP] separate a pair.
    """

    columns: list[Column]
    special: tuple[int, ...]
    between: int = 1

    @classmethod
    def load(cls, folder: str | Path, split: str, located: Path | None = None) -> TokenisedSplit:
        """Memory-map a split written by `tokenize_task`; `located`: folder of its tokens' characters, if wanted."""
        folder = Path(folder)
        manifest = files.read_json(folder / "manifest.json")
        names = ("first", "second")[: manifest["columns"]]
        columns = [Column.load(folder, f"{split}.{name}", located) for name in names]
        return cls(columns, tuple(manifest["special"]), manifest.get("between", 1))

    @classmethod
    def of_texts(
        cls, tokenizer: Tokenizer, columns: list[list[str]], where: str, special: Special, chars: bool = False
    ) -> TokenisedSplit:
        """Tokenise one column of texts, or two of pairs, if asked with their tokens' characters.

        Raises ValueError if too many tokens are unknown.
        """
        encoded = [_encode(tokenizer, texts, where, special, chars) for texts in columns]
        vocabulary = tokenizer.get_vocab()
        return cls(encoded, tuple(vocabulary[token] for token in special.framing), special.between)

    def __len__(self) -> int:
        return len(self.columns[0].offsets) - 1

    def taken(self, rows: np.ndarray) -> TokenisedSplit:
        """A split of these rows alone, in their order."""
        return replace(self, columns=[column.taken(rows) for column in self.columns])

    def lengths(self, max_tokens: int) -> np.ndarray:
        """Number of tokens per row, special ones included, after truncation to `max_tokens`. [rows]"""
        between = (self.between - 1) * (len(self.columns) - 1)
        return np.minimum(1 + between + sum(column.lengths() + 1 for column in self.columns), max_tokens)

    def batch(self, rows: np.ndarray, max_tokens: int) -> dict[str, torch.Tensor]:
        """Build `input_ids`, `attention_mask`, `token_type_ids` [rows, t], padded to the longest of these rows."""
        # Imported here, since tokenising must work without torch (envs/head.yaml).
        import torch

        pad, cls_id, sep = self.special
        length = int(self.lengths(max_tokens)[rows].max())
        input_ids = np.full((len(rows), length), pad, dtype=np.int64)
        types = np.zeros_like(input_ids)
        mask = np.zeros_like(input_ids)
        for line, row in enumerate(rows):
            texts = [column.of(row) for column in self.columns]
            kept = cut_lengths(*map(len, texts), max_tokens=max_tokens, between=self.between)
            input_ids[line, 0], end = cls_id, 1
            for number, (text, count) in enumerate(zip(texts, kept, strict=False)):
                input_ids[line, end : end + count] = text[:count]
                ends = end + count + (1 if number + 1 == len(texts) else self.between)
                input_ids[line, end + count : ends] = sep
                types[line, end:ends] = number
                end = ends
            mask[line, :end] = 1
        names = ("input_ids", "attention_mask", "token_type_ids")
        return {n: torch.from_numpy(v) for n, v in zip(names, (input_ids, mask, types), strict=True)}


def cut_lengths(first: int, second: int | None = None, *, max_tokens: int, between: int = 1) -> tuple[int, int]:
    """Lengths of both texts after Hugging Face's `longest_first` truncation to `max_tokens` with special tokens."""
    if second is None:
        return min(first, max_tokens - 2), 0
    room = max_tokens - 2 - between
    if first + second <= room:
        return first, second
    short = min(first, second, room // 2)
    return (short, room - short) if first <= second else (room - short, short)


def load_tokenizer(folder: str | Path) -> Tokenizer:
    """Load the tokenizer of a model folder, without the padding and truncation that some folders bake in.

    Raises ValueError if its vocabulary does not fit the model: special tokens missing, or another size than embedded.
    """
    folder = Path(folder)
    path = folder / "tokenizer.json"
    tokenizer = alike.read_tokenizer(folder)
    if tokenizer is None:
        raise ValueError(f"{path}: no tokenizer; a model folder needs tokenizer.json or vocab.txt")
    shape = Shape.of(folder)
    special = shape.kind.special
    missing = [token for token in (*special.framing, special.unknown) if tokenizer.token_to_id(token) is None]
    if missing:
        needed = f"{', '.join(special.framing)} and {special.unknown}"
        raise ValueError(f"{path}: no token {', '.join(missing)}; a vocabulary of {shape.family} has {needed}")
    size, embedded = tokenizer.get_vocab_size(), shape.vocabulary
    if not size <= embedded < size + 1024:
        raise ValueError(f"{path}: {size} tokens, but the model embeds {embedded}; it is another model's tokenizer")
    return tokenizer


def tokenize_task(data: Path, tokenizer_folder: Path, out: Path, fingerprint: str) -> dict[str, Any]:
    """Write the ids of all splits of a task into folder `out` and return its manifest; a transfer has only report."""
    tokenizer, special = load_tokenizer(tokenizer_folder), Shape.of(tokenizer_folder).kind.special
    columns = set()
    with files.atomic_folder(out) as folder:
        for split, name, texts, where in _columns(data):
            encoded = _encode(tokenizer, texts, where, special)
            np.save(folder / f"{split}.{name}.ids.npy", encoded.ids)
            np.save(folder / f"{split}.{name}.offsets.npy", encoded.offsets)
            columns.add(name)
        manifest = {
            "fingerprint": fingerprint,
            "columns": len(columns),
            "special": [tokenizer.token_to_id(token) for token in special.framing],
            **({"between": special.between} if special.between > 1 else {}),
            "vocabulary": tokenizer.get_vocab_size(),
            "sha256": {file.name: files.sha256(file) for file in sorted(folder.glob("*.npy"))},
        }
        files.write_json(folder / "manifest.json", manifest)
    return manifest


def locate_tokens(data: Path, tokenizer_folder: Path, out: Path, fingerprint: str) -> None:
    """Write the characters of all tokens of a task into folder `out`, for pairs whose models read different tokens."""
    tokenizer, special = load_tokenizer(tokenizer_folder), Shape.of(tokenizer_folder).kind.special
    with files.atomic_folder(out) as folder:
        for split, name, texts, where in _columns(data):
            chars = _encode(tokenizer, texts, where, special, chars=True).chars
            assert chars is not None
            np.save(folder / f"{split}.{name}.chars.npy", chars)
        files.write_json(folder / "manifest.json", {"fingerprint": fingerprint})


def _columns(data: Path) -> Iterator[tuple[str, str, list[str], str]]:
    """Split, name, texts and place of every text column of a task."""
    written = files.read_json(data / "manifest.json")["sha256"]
    tables = {s: parquet.read_table(data / f"{s}.parquet") for s in SPLITS if f"{s}.parquet" in written}
    names = [c for c in ("text_a", "text_b") if c in tables["report"].column_names]
    for split, table in tables.items():
        for name, column in zip(("first", "second"), names, strict=False):
            yield split, name, table[column].to_pylist(), f"{data / split}.parquet, {column}"


def _encode(tokenizer: Tokenizer, texts: list[str], where: str, special: Special, chars: bool = False) -> Column:
    encoded = tokenizer.encode_batch(texts, add_special_tokens=False)
    offsets = np.concatenate([[0], np.cumsum([len(e.ids) for e in encoded], dtype=np.int64)])
    ids = np.concatenate([np.asarray(e.ids, dtype=np.int32) for e in encoded])
    unknown = float(np.mean(ids == tokenizer.token_to_id(special.unknown)))
    if unknown > MOST_UNKNOWN:
        raise ValueError(
            f"{where}: {unknown:.0%} of the tokens are {special.unknown}; the tokenizer has the wrong vocabulary"
        )
    spread = [np.asarray(e.offsets, dtype=np.int32).reshape(-1, 2) for e in encoded] if chars else []
    return Column(ids, offsets, np.concatenate(spread) if chars else None)
