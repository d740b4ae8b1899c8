"""Three tasks of GLUE's kinds from a grammar and a seed, written as TSV files in GLUE's official layouts.

They need no download and claim nothing about real language: they show how Graft works, and how one's own data looks.
The difficulty is linguistic (negation, contrast, degree; synonyms, words for kinds, swapped roles, quantifiers; words
that only the dev split has), with a stated share of wrong labels, so that no system is at 100%.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from graft.registry.layouts import LAYOUTS, Layout
from graft.tasks.generated import entailment, sentiment, similarity

# Part of the fingerprint: raised when a grammar changes, so that what was made from it is made anew.
VERSION = 1
# Share of the rows whose class is turned into the other one, as many of each: people err. A score has its own noise.
WRONG_LABELS = 0.03
# Draws in a row that gave only texts that were there already; then the grammar has no more to say.
_MOST_TRIES = 1000


@dataclass(frozen=True)
class Grammar:
    """A kind of task: what draws its rows, and how a row is written.

    `draw(rng, split, label)`: the texts of a row of class `label`; for a score (`labels` None) the texts and the score.
    `line(number, texts, label)`: the cells under the layout's header.
    """

    layout: Layout
    draw: Callable[[random.Random, str, str | None], tuple[str, ...]]
    line: Callable[[int, tuple[str, ...], str], tuple[str, ...]]


GRAMMARS = {
    "sentiment": Grammar(LAYOUTS["sentiment"], sentiment.row, lambda number, texts, label: (*texts, label)),
    "similarity": Grammar(
        LAYOUTS["similarity"],
        similarity.row,
        lambda number, texts, label: (
            *(str(number), "generated", "scenes", "none", f"{number:04d}", "none", "none"),
            *(*texts, label),
        ),
    ),
    "entailment": Grammar(
        LAYOUTS["entailment"], entailment.row, lambda number, texts, label: (str(number), *texts, label)
    ),
}


def write(grammar: str, seed: int, train: int, dev: int, folder: Path) -> None:
    """Write `train.tsv` and `dev.tsv` with so many rows into `folder`, the same bytes for the same seed.

    Classes are equally frequent, and no text stands twice, within a split or across the two. Raises ValueError where
    the grammar has not as many texts as there are rows.
    """
    found = GRAMMARS[grammar]
    seen: set[str] = set()
    # dev first, so that asking for more rows of train leaves it as it is.
    for split, count in (("dev", dev), ("train", train)):
        rng = random.Random(f"{VERSION}/{grammar}/{seed}/{split}")
        lines = ["\t".join(found.layout.header)]
        for number, (texts, label) in enumerate(_rows(found, rng, split, count, seen)):
            lines.append("\t".join(found.line(number, texts, label)))
        (folder / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def _rows(
    grammar: Grammar, rng: random.Random, split: str, count: int, seen: set[str]
) -> Iterator[tuple[tuple[str, ...], str]]:
    layout = grammar.layout
    labels = _labels(layout.labels, rng, count)
    for number in range(count):
        label, written = labels[number]
        for _ in range(_MOST_TRIES):
            cells = grammar.draw(rng, split, label)
            texts, score = (cells, written) if layout.labels else (cells[:-1], cells[-1])
            if len({*texts} - seen) == len(layout.text):
                break
        else:
            raise ValueError(f"{split}: the grammar has no more than {number} rows of different texts; ask for fewer")
        seen.update(texts)
        yield texts, score


def _labels(labels: tuple[str, ...] | None, rng: random.Random, count: int) -> list[tuple[str | None, str]]:
    """What each row is, and what is written of it: some are mislabelled, as many of each class."""
    if labels is None:
        return [(None, "")] * count
    first, second = labels
    wrong = round(WRONG_LABELS * count / 2)
    pairs = []
    for own, other, size in ((first, second, (count + 1) // 2), (second, first, count // 2)):
        pairs += [(own, other)] * wrong + [(own, own)] * (size - wrong)
    rng.shuffle(pairs)
    return pairs
