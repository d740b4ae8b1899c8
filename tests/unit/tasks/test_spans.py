"""Spans of two tokenizations, held against a slow second way to find them."""

import numpy as np
import pytest

from graft.tasks.spans import NONE, PairedSplit, align
from graft.tasks.tokens import Column, TokenisedSplit
from tests.unit.vocabularies import in_pieces, permuted, texts


def drawn(rng, letters=30):
    """Tokens of a text: it is cut at random places, some stretches are dropped, and some tokens have no characters."""
    cuts = np.unique([0, letters, *rng.integers(0, letters, rng.integers(0, 12))])
    tokens = [[a, b] for a, b in zip(cuts, cuts[1:], strict=False) if rng.random() < 0.8]
    tokens += [[at, at] for at in rng.integers(0, letters, rng.integers(0, 3))]
    # Pieces of one letter, such as the bytes of an emoji, have its characters.
    tokens += [token for token in tokens if rng.random() < 0.1]
    return np.array(sorted(tokens), dtype=np.int32).reshape(-1, 2)


def slowly(one, other):
    """Grow each span from a token by all tokens that share a character with it, until there are no more."""
    tokens = [(0, n, set(range(*token))) for n, token in enumerate(one)]
    tokens += [(1, n, set(range(*token))) for n, token in enumerate(other)]
    found, left = [], [token for token in tokens if token[2]]
    while left:
        group, letters = [left.pop(0)], None
        letters = set(group[0][2])
        while more := [token for token in left if token[2] & letters]:
            group += more
            letters |= set.union(*(token[2] for token in more))
            left = [token for token in left if token not in more]
        if len({side for side, _, _ in group}) == 2:
            found.append((min(letters), group))
    spans = np.full(len(one), NONE), np.full(len(other), NONE)
    for number, (_, group) in enumerate(sorted(found, key=lambda item: item[0])):
        for side, n, _ in group:
            spans[side][n] = number
    return spans


@pytest.mark.parametrize("seed", range(200))
def test_spans_are_the_groups_of_tokens_that_share_characters(seed):
    rng = np.random.default_rng(seed)
    one, other = drawn(rng), drawn(rng)
    for fast, slow in zip(align(one, other), slowly(one, other), strict=True):
        assert fast.tolist() == slow.tolist()


def test_words_in_pieces_and_pieces_across_words():
    # "un|believ|able |film" and "unbelievable| |fi|lm"
    one, other = np.array([[0, 2], [2, 8], [8, 12], [13, 17]]), np.array([[0, 12], [12, 13], [13, 15], [15, 17]])
    first, second = align(one, other)
    assert first.tolist() == [0, 0, 0, 1] and second.tolist() == [0, NONE, 1, 1]


def test_texts_without_tokens_have_no_spans():
    empty = np.zeros((0, 2), dtype=np.int32)
    assert [len(side) for side in align(empty, np.array([[0, 3]]))] == [0, 1]
    assert align(empty, np.array([[0, 3]]))[1].tolist() == [NONE]


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("between", [1, 2])
def test_special_tokens_are_spans_of_their_likes(columns, between):
    large = texts(rows=20, columns=columns)
    pair = PairedSplit(large, TokenisedSplit(large.columns, (7, 8, 9), between))
    for row in range(20):
        one, other = pair.spans(row, 64)
        assert one.tolist() == list(range(len(one)))
        ends = np.flatnonzero(np.diff(other) == 0)
        assert len(ends) == (columns - 1) * (between - 1) and np.unique(other).tolist() == one.tolist()
    batch = pair.batch(np.arange(20), 64)
    assert (batch["small.input_ids"][:, 0] == 8).all() and (batch["spans"][:, 0] == 0).all()
    assert ((batch["spans"] == NONE) == (batch["attention_mask"] == 0)).all()


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("longest", [4, 5, 6, 7, 9, 30])
def test_a_span_that_one_model_cuts_is_none_of_either(columns, longest):
    pair = in_pieces(texts(rows=40, columns=columns)).split
    for row in range(40):
        sides = pair.spans(row, longest)
        known = [sorted({*spans.tolist()} - {NONE}) for spans in sides]
        assert known[0] == known[1] == list(range(len(known[0])))
        for side, spans in zip((pair.large, pair.small), sides, strict=True):
            assert len(spans) == side.lengths(longest)[row] and (np.diff(spans[spans != NONE]) >= 0).all()
        # A word in two pieces is whole or not there at all.
        counts = np.unique(sides[1][sides[1] != NONE], return_counts=True)[1]
        words = np.concatenate([column.of(row) for column in pair.small.columns])
        assert set(counts) <= {1, 2} and (2 in counts) <= bool((words >= 60).any())
    assert pair.count(np.arange(40), longest) == sum(int(pair.spans(row, longest)[0].max()) + 1 for row in range(40))


def test_rows_and_lengths_are_those_of_the_model_that_is_asked():
    split = texts(rows=10)
    other = in_pieces(split).split
    taken = other.taken(np.array([3, 1]))
    assert len(other) == 10 and len(taken) == 2
    assert taken.lengths(64).tolist() == split.lengths(64)[[3, 1]].tolist()
    assert PairedSplit(other.large, other.small, "small").lengths(64).tolist() == other.small.lengths(64).tolist()
    assert taken.spans(0, 64)[1].tolist() == other.spans(3, 64)[1].tolist()


def test_one_to_one_tokens_are_one_span_each():
    pair = permuted(texts(rows=5)).split
    for row in range(5):
        one, other = pair.spans(row, 64)
        assert one.tolist() == other.tolist() == list(range(len(one)))


def test_characters_stay_with_their_tokens():
    column = texts(rows=6).columns[0]
    taken = column.taken(np.array([4, 0]))
    assert taken.chars_of(0).tolist() == column.chars_of(4).tolist()
    assert Column(column.ids, column.offsets).taken(np.array([1])).chars is None
