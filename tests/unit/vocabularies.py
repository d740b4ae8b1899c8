"""The same texts in other tokens: a vocabulary in another order, and one that has every second word in two pieces."""

from dataclasses import dataclass

import numpy as np
import torch

from graft.encoders.architecture import WORD_EMBEDDINGS
from graft.tasks.spans import PairedSplit
from graft.tasks.tokens import Column, TokenisedSplit
from tests.unit.conftest import VOCABULARY

PAD, UNKNOWN, FIRST, LAST, WORDS = 0, 1, 2, 3, 5


def texts(rows: int = 60, columns: int = 1, most: int = 9, seed: int = 0) -> TokenisedSplit:
    """Random words, of four letters with a space behind each."""
    rng = np.random.default_rng(seed)

    def column() -> Column:
        lengths = rng.integers(1, most // columns + 1, rows)
        starts = np.concatenate([5 * np.arange(length) for length in lengths])
        ids = rng.integers(WORDS, VOCABULARY, lengths.sum()).astype(np.int32)
        return Column(ids, np.concatenate([[0], np.cumsum(lengths)]), np.stack([starts, starts + 4], axis=1))

    return TokenisedSplit([column() for _ in range(columns)], (PAD, FIRST, LAST))


@dataclass(frozen=True)
class Other:
    """Another vocabulary: the texts in the tokens of both, and `rows` as in Parts."""

    split: PairedSplit
    rows: torch.Tensor
    sources: torch.Tensor
    """The token of the first vocabulary whose embedding each of its tokens has."""

    def body(self, body: dict) -> dict:
        """A body of the first vocabulary with this one."""
        return {**body, WORD_EMBEDDINGS: body[WORD_EMBEDDINGS][self.sources]}


def permuted(split: TokenisedSplit) -> Other:
    """All tokens in another order, special ones too."""
    order = np.random.default_rng(1).permutation(VOCABULARY)
    columns = [Column(order[column.ids], column.offsets, column.chars) for column in split.columns]
    other = TokenisedSplit(columns, tuple(order[token] for token in split.special))
    return Other(PairedSplit(split, other), torch.from_numpy(order), torch.from_numpy(np.argsort(order)))


def in_pieces(split: TokenisedSplit) -> Other:
    """Odd words as two tokens of two letters each, which both have the word's embedding."""

    def of(column: Column) -> Column:
        odd = column.ids % 2 == 1
        times = 1 + odd
        ids, chars = np.repeat(column.ids, times), np.repeat(column.chars, times, axis=0)
        pieces, second = np.repeat(odd, times), np.zeros(times.sum(), dtype=bool)
        second[np.cumsum(times)[odd] - 1] = True
        chars[pieces & ~second, 1] -= 2
        chars[second, 0] += 2
        ids = np.where(pieces, VOCABULARY + ids - 1 + second, ids).astype(np.int32)
        return Column(ids, np.concatenate([[0], np.cumsum(times)])[column.offsets], chars)

    other = TokenisedSplit([of(column) for column in split.columns], split.special)
    rows, numbers = torch.arange(VOCABULARY), torch.arange(2 * VOCABULARY)
    whole = (rows < WORDS) | (rows % 2 == 0)
    sources = torch.where(numbers < VOCABULARY, numbers, (numbers - VOCABULARY) // 2 * 2 + 1)
    return Other(PairedSplit(split, other), torch.where(whole, rows, -1), sources)
