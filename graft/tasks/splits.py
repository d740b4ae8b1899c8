"""Carve `select`, and `report` where none is published, out of the published train split, by groups of shared text."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

# The same draw in every study: splits depend on the task, not on a seed.
SPLIT_SEED = 20_26
# Rows carved out of train are at most one in this many.
SELECT_PART, REPORT_PART = 10, 5


@dataclass(frozen=True)
class Carving:
    """Row numbers of the published train split: `train` and `select` are disjoint; `dropped` is in neither.

    `redundant` are the rows of `train` whose text is part of another published row's.
    """

    train: np.ndarray
    select: np.ndarray
    dropped: np.ndarray
    redundant: np.ndarray


def carve(table: pd.DataFrame, groups: str, select_rows: int, part: int = SELECT_PART) -> Carving:
    """Split a train table (columns text_a and possibly text_b) so that no text of `select` can be learnt from `train`.

    `select` has `select_rows` rows, but at most one in `part`.

    `groups`:
    - "shared": rows that share a text, directly or through others, stay together (connected components).
    - "contained": for tasks whose rows are phrases of other rows (SST-2). Only whole sentences, that is phrases that
      are part of no other, go to `select`; every row that is part of one of them is dropped from `train`.
    Raises ValueError if no row is left on one side.
    """
    rows = min(select_rows, len(table) // part) or 1
    texts = [c for c in ("text_a", "text_b") if c in table]
    words = [table[c].map(normalised).tolist() for c in texts]
    rng = np.random.default_rng(SPLIT_SEED)
    if groups == "contained":
        if len(words) != 1:
            raise ValueError("groups: contained is for tasks with one text; use shared for pairs")
        select, dropped, inside = _carve_sentences(words[0], rows, rng)
    else:
        select, dropped, inside = _carve_components(words, rows, rng), set(), set()
    everything = np.arange(len(table))
    train = np.array([i for i in everything if i not in select and i not in dropped], dtype=np.int64)
    if not len(train) or not select:
        raise ValueError(f"no rows can be carved out of {len(table)} train rows: all of them share text")
    selected, left_out = (np.array(sorted(rows), dtype=np.int64) for rows in (select, dropped))
    return Carving(train, selected, left_out, np.array([i for i in train if i in inside], dtype=np.int64))


def carve_report(
    table: pd.DataFrame, groups: str, select_rows: int, report_rows: int | None
) -> tuple[np.ndarray, Carving]:
    """Return the rows of a table for `report`, a fifth at most, and how `carve` splits those that are left.

    No text of `report` is in `train` or `select`. Raises ValueError as `carve` does.
    """
    first = carve(table, groups, len(table) if report_rows is None else report_rows, REPORT_PART)
    left = first.train
    second = carve(table.iloc[left], groups, select_rows)
    dropped = np.sort(np.concatenate([first.dropped, left[second.dropped]]))
    return first.select, Carving(left[second.train], left[second.select], dropped, left[second.redundant])


def folds(table: pd.DataFrame, groups: str, count: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (held-out rows, training rows) for each of `count` folds of a table; every row is held out once.

    Held-out and training rows share no text, in the sense of `carve`: components stay together, and a row that is part
    of a held-out row, or contains one, is not trained on. Raises ValueError if a fold has no training rows left.
    """
    words = [table[c].map(normalised).tolist() for c in ("text_a", "text_b") if c in table]
    components, everything, fold_of = shared_components(words), np.arange(len(table)), np.empty(len(table), dtype=int)
    for number, members in zip(np.random.default_rng(seed).permutation(len(components)), components, strict=True):
        fold_of[members] = number % count
    inside = contained_phrases(list(dict.fromkeys(words[0]))) if groups == "contained" else {}
    found = []
    for fold in range(count):
        held = everything[fold_of == fold]
        near = {words[0][i] for i in held}
        within = set().union(*(inside.get(phrase, ()) for phrase in near))
        others = [i for i in everything[fold_of != fold] if words[0][i] not in within]
        train = [i for i in others if near.isdisjoint(inside.get(words[0][i], ()))]
        if not train:
            raise ValueError(f"{count} folds: in one of them, no text is left to train on; use more folds, or none")
        found.append((held, np.array(train, dtype=np.int64)))
    return found


def draw(carving: Carving, limit: int | None) -> np.ndarray:
    """Return at most `limit` rows of `train`, in order, drawn with a fixed seed.

    Rows that are part of another row are taken only after all others: of SST-2's phrases, whole sentences say the most,
    and the report split consists of them.
    """
    if limit is None or limit >= len(carving.train):
        return carving.train
    rng = np.random.default_rng(SPLIT_SEED)
    whole = np.setdiff1d(carving.train, carving.redundant)
    order = np.concatenate([rng.permutation(whole), rng.permutation(carving.redundant)])
    return np.sort(order[:limit])


def seen(report: pd.DataFrame, train: pd.DataFrame) -> pd.Series:
    """Whether each row of `report` has a text in any column that a row of `train` has in any; phrases do not count."""
    texts = [column for column in ("text_a", "text_b") if column in report]
    known = {normalised(text) for column in texts for text in train[column]}
    return report[texts].map(lambda text: normalised(text) in known).any(axis=1)


def normalised(text: str) -> str:
    """Return a text in lower case with single spaces: texts that differ in nothing else count as the same."""
    return " ".join(text.lower().split())


def _carve_components(words: list[list[str]], rows: int, rng: np.random.Generator) -> set[int]:
    components = shared_components(words)
    select: set[int] = set()
    for number in rng.permutation(len(components)):
        # Skip a component larger than what is still needed, so that a giant one cannot swallow train.
        if len(select) + len(components[number]) <= rows:
            select.update(components[number])
    return select


def shared_components(words: Sequence[Sequence[str]]) -> list[list[int]]:
    """Return the connected components of rows that share a text; `words` holds one list per text column."""
    parent = list(range(len(words[0])))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[str, int] = {}
    for column in words:
        for i, text in enumerate(column):
            parent[root(i)] = root(first.setdefault(text, i))
    members: dict[int, list[int]] = {}
    for i in range(len(parent)):
        members.setdefault(root(i), []).append(i)
    return list(members.values())


def _carve_sentences(phrases: list[str], rows: int, rng: np.random.Generator) -> tuple[set[int], set[int], set[int]]:
    """Return the rows for `select`, the rows to drop, and all rows that are part of another."""
    rows_of: dict[str, list[int]] = {}
    for i, phrase in enumerate(phrases):
        rows_of.setdefault(phrase, []).append(i)
    inside = contained_phrases(list(rows_of))
    children = set().union(*inside.values())
    sentences = [phrase for phrase in rows_of if phrase not in children]
    select: set[int] = set()
    dropped: set[int] = set()
    for number in rng.permutation(len(sentences))[:rows]:
        first, *again = rows_of[sentences[number]]
        select.add(first)
        dropped.update(again, *(rows_of[phrase] for phrase in inside.get(sentences[number], ())))
    return select, dropped, {row for phrase in children for row in rows_of[phrase]}


def contained_phrases(phrases: list[str]) -> dict[str, set[str]]:
    """Map each phrase to the other phrases that occur in it as a run of whole words."""
    known = set(phrases)
    lengths = sorted({p.count(" ") + 1 for p in known})
    inside: dict[str, set[str]] = {}
    for phrase in phrases:
        words = phrase.split(" ")
        for length in (length for length in lengths if length < len(words)):
            runs = {" ".join(words[start : start + length]) for start in range(len(words) - length + 1)} & known
            if runs:
                inside.setdefault(phrase, set()).update(runs)
    return inside
