"""Generate three tasks of GLUE's kinds from a grammar and a seed, as TSV files in GLUE's official layouts.

They need no download and claim nothing about real language: they show how Graft works and what input files look like.
The difficulty is linguistic (negation, contrast, degree; synonyms, hypernyms, swapped roles, quantifiers; words that
only the dev split has), with a fixed share of wrong labels, so that no system reaches 100%.
"""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

from graft.registry.layouts import LAYOUTS
from graft.tasks.generated import entailment, sentiment, similarity

# Part of the fingerprint: raise it when a grammar changes, so that whatever depends on it is made again.
VERSION = 1
# Share of rows whose class is flipped, equally many of each class: annotators err. A score has its own noise.
WRONG_LABELS = 0.03
# Consecutive draws that gave only known texts, after which the grammar counts as exhausted.
_MOST_TRIES = 1000


# Draws a row of class `label`, `draw(rng, split, label)`: its texts, and the score if the grammar has one.
GRAMMARS: dict[str, Callable[[random.Random, str, str], tuple[str, ...]]] = {
    "sentiment": sentiment.row,
    "similarity": similarity.row,
    "entailment": entailment.row,
}
# STS-B's columns that say where a pair comes from.
_ORIGIN = {"genre": "generated", "filename": "scenes", "year": "none", "source1": "none", "source2": "none"}


def write(grammar: str, seed: int, train: int, dev: int, folder: Path) -> None:
    """Write `train.tsv` and `dev.tsv` with `train` and `dev` rows into `folder`, the same bytes for the same seed.

    Classes are equally frequent, and no text appears twice, within a split or across the two. Raises ValueError if the
    grammar has too few texts for these rows.
    """
    layout = LAYOUTS[grammar]
    seen: set[str] = set()
    # dev first, so that it does not change with the number of train rows.
    for split, count in (("dev", dev), ("train", train)):
        rng = random.Random(f"{VERSION}/{grammar}/{seed}/{split}")
        lines = ["\t".join(layout.header)]
        for number, (texts, label) in enumerate(_rows(grammar, rng, split, count, seen)):
            cells = {"index": str(number), "old_index": f"{number:04d}", **_ORIGIN, layout.label: label}
            cells |= zip(layout.text, texts, strict=True)
            lines.append("\t".join(cells[column] for column in layout.header))
        (folder / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def _rows(
    grammar: str, rng: random.Random, split: str, count: int, seen: set[str]
) -> Iterator[tuple[tuple[str, ...], str]]:
    layout = LAYOUTS[grammar]
    for number, (label, written) in enumerate(_labels(layout.labels, rng, count)):
        for _ in range(_MOST_TRIES):
            cells = GRAMMARS[grammar](rng, split, label)
            texts, score = (cells, written) if layout.labels else (cells[:-1], cells[-1])
            if len({*texts} - seen) == len(layout.text):
                break
        else:
            raise ValueError(f"{split}: the grammar has no more than {number} rows of different texts; ask for fewer")
        seen.update(texts)
        yield texts, score


def _labels(labels: tuple[str, ...] | None, rng: random.Random, count: int) -> list[tuple[str, str]]:
    """Draw (true label, written label) of each row; equally many of each class are mislabelled. Empty for a score."""
    if labels is None:
        return [("", "")] * count
    first, second = labels
    wrong = round(WRONG_LABELS * count / 2)
    pairs = []
    for own, other, size in ((first, second, (count + 1) // 2), (second, first, count // 2)):
        pairs += [(own, other)] * wrong + [(own, own)] * (size - wrong)
    rng.shuffle(pairs)
    return pairs
