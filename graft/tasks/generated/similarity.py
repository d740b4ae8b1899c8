"""Graded similarity: two scenes, scored word by word, with noise in place of annotators' disagreement."""

import random

from graft.tasks.generated import scenes
from graft.tasks.generated.lexicon import KIND_OF, same
from graft.tasks.generated.scenes import Scene

_QUANTITIES = {"a": 6, "two": 2, "some": 2}
_MOST_EDITS = 8
# Share of pairs that have nothing to do with each other.
_UNRELATED = 0.2
# Weight of each part of a scene.
_WEIGHTS = {
    "actor": 1.2,
    "verb": 1.4,
    "thing": 1.2,
    "place": 0.6,
    "actor_quality": 0.35,
    "thing_quality": 0.35,
    "quantity": 0.3,
}
# Similarities of two words; `untold`: only one of the scenes mentions the part.
_SAME, _BROADER, _SIBLING, _UNTOLD = 1.0, 0.65, 0.3, 0.45
# Standard deviation of a score, in points of 5, for annotators' disagreement.
_RATERS = 0.3


def row(rng: random.Random, split: str, label: str) -> tuple[str, ...]:
    """Draw two sentences and their similarity from 0 to 5, with three decimals."""
    first = second = scenes.draw(rng, split, _QUANTITIES)
    if rng.random() < _UNRELATED:
        second = scenes.draw(rng, split, _QUANTITIES)
    else:
        for _ in range(rng.randint(0, _MOST_EDITS)):
            second = scenes.edited(second, rng, split, _QUANTITIES)
    score = min(5.0, max(0.0, 5 * similarity(first, second) + rng.gauss(0, _RATERS)))
    return scenes.tell(first, rng), scenes.tell(second, rng), f"{score:.3f}"


def similarity(first: Scene, second: Scene) -> float:
    """Weighted mean similarity of the parts that at least one scene mentions, in [0, 1]."""
    total = alike = 0.0
    for part, weight in _WEIGHTS.items():
        pair = getattr(first, part), getattr(second, part)
        if pair != (None, None):
            total += weight
            alike += weight * _likeness(*pair)
    return alike / total


def _likeness(first: str | None, second: str | None) -> float:
    if same(first, second):
        return _SAME
    if first is None or second is None:
        return _UNTOLD
    kinds = KIND_OF.get(first, first), KIND_OF.get(second, second)
    if kinds[0] != kinds[1]:
        return 0.0
    return _BROADER if kinds[0] in (first, second) else _SIBLING
