"""Spans: the smallest stretches of a text in which two tokenizations have whole tokens, where vocabularies differ.

A span begins and ends where tokens of both do, so that a word which one model reads whole and the other in pieces is
one span. Imports no torch until a batch is built.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from graft.tasks.tokens import Column, TokenisedSplit, cut_lengths

if TYPE_CHECKING:
    import torch

# Names in a batch: of the small model's inputs begin with this, its spans' too; of the large model's spans.
SMALL, SPANS = "small.", "spans"
# The number of a token's span if the other model has no token there.
NONE = -1


def align(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number the spans of a text from 0, in its order; returns those of two models' tokens [n] and [m].

    `one` [n, 2] and `other` [m, 2] are the first character of each token, and the one after its last. Tokens that
    overlap are in one span; a token without characters, or whose characters the other model drops, has NONE.
    """
    chars = np.concatenate([one, other]).astype(np.int64)
    order = np.argsort(chars[:, 0], kind="stable")
    order = order[chars[order, 0] < chars[order, 1]]
    starts, ends = chars[order].T
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = starts[1:] >= np.maximum.accumulate(ends)[:-1]
    groups = np.full(len(chars), NONE)
    groups[order] = np.cumsum(begins) - 1
    sides = groups[: len(one)], groups[len(one) :]
    shared = np.intersect1d(*sides)
    shared = shared[shared != NONE]
    first, second = (np.where(np.isin(own, shared), np.searchsorted(shared, own), NONE) for own in sides)
    return first, second


@dataclass(frozen=True)
class PairedSplit:
    """The same texts in the tokens of a pair's two models, whose columns have their characters.

    `lengths_of`: the model whose lengths decide which rows share a batch, "large" or "small".
    """

    large: TokenisedSplit
    small: TokenisedSplit
    lengths_of: str = "large"

    def __len__(self) -> int:
        return len(self.large)

    @property
    def columns(self) -> list[Column]:
        return self.large.columns

    def taken(self, rows: np.ndarray) -> PairedSplit:
        """A split of these rows alone, in their order."""
        return replace(self, large=self.large.taken(rows), small=self.small.taken(rows))

    def lengths(self, max_tokens: int) -> np.ndarray:
        """Number of that model's tokens per row, as of a TokenisedSplit. [rows]"""
        own: TokenisedSplit = getattr(self, self.lengths_of)
        return own.lengths(max_tokens)

    def batch(self, rows: np.ndarray, max_tokens: int) -> dict[str, torch.Tensor]:
        """Build the inputs of both models, each cut to `max_tokens` tokens, and every token's span [rows, t]."""
        import torch

        large, small = (side.batch(rows, max_tokens) for side in (self.large, self.small))
        found = large | {SMALL + name: tensor for name, tensor in small.items()}
        for name, of in ((SPANS, large), (SMALL + SPANS, small)):
            found[name] = torch.full_like(of["input_ids"], NONE)
        for line, row in enumerate(rows):
            for name, spans in zip((SPANS, SMALL + SPANS), self.spans(row, max_tokens), strict=True):
                found[name][line, : len(spans)] = torch.from_numpy(spans)
        return found

    def spans(self, row: int, max_tokens: int) -> tuple[np.ndarray, np.ndarray]:
        """Number the spans of a row, special tokens included; returns those of the large and the small model's tokens.

        The first tokens of both are a span, and so are the tokens that end a text. Spans that one model cuts off or
        apart are none. Both models have tokens in every span from 0 to the last.
        """
        sides, columns = (self.large, self.small), range(len(self.large.columns))
        found: list[list[np.ndarray]] = [[np.zeros(1, np.int64)] for _ in sides]
        kept = [
            cut_lengths(*(len(one.columns[n].of(row)) for n in columns), max_tokens=max_tokens, between=one.between)
            for one in sides
        ]
        count = 1
        for n in columns:
            texts = align(*(one.columns[n].chars_of(row) for one in sides))
            whole = int(texts[0].max(initial=NONE)) + 1
            for spans, lengths in zip(texts, kept, strict=True):
                cut = spans[lengths[n] :]
                whole = int(cut[cut != NONE].min(initial=whole))
            for own, spans, lengths, one in zip(found, texts, kept, sides, strict=True):
                spans = spans[: lengths[n]]
                own.append(np.where((spans != NONE) & (spans < whole), spans + count, NONE))
                own.append(np.full(1 if n + 1 == len(columns) else one.between, count + whole))
            count += whole + 1
        large, small = map(np.concatenate, found)
        return large, small

    def count(self, rows: np.ndarray, max_tokens: int) -> int:
        """Number of spans of some rows."""
        return sum(int(self.spans(row, max_tokens)[0].max()) + 1 for row in rows)


def side(tokens: TokenisedSplit | PairedSplit, role: str) -> TokenisedSplit:
    """The texts in the tokens of a pair's "large" or "small" model."""
    found: TokenisedSplit = getattr(tokens, role) if isinstance(tokens, PairedSplit) else tokens
    return found
