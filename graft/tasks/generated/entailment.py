"""Entailment: whether one scene follows from another, by the logic of quantifiers and hypernyms."""

import random

from graft.tasks.generated import scenes
from graft.tasks.generated.lexicon import KIND_OF, same
from graft.tasks.generated.scenes import Scene

ENTAILMENT, NOT_ENTAILMENT = "entailment", "not_entailment"
_QUANTITIES = {"a": 9, "two": 1, "three": 1, "some": 1, "most": 1, "all": 1, "no": 2}
# Numbers of edits from premise to hypothesis, with weights.
_EDITS = {0: 1, 1: 3, 2: 3, 3: 3}
# The quantities that a statement about each quantity implies.
_WEAKER = {
    "a": ("a",),
    "two": ("two", "some", "a"),
    "three": ("three", "two", "some", "a"),
    "some": ("some", "a"),
    "most": ("most", "some", "a"),
    "all": ("all", "most", "some", "a"),
    "no": ("no",),
}


def row(rng: random.Random, split: str, label: str) -> tuple[str, ...]:
    """Draw a premise and a hypothesis with the given label."""
    while True:
        premise = hypothesis = scenes.draw(rng, split, _QUANTITIES)
        for _ in range(rng.choices(list(_EDITS), list(_EDITS.values()))[0]):
            hypothesis = scenes.edited(hypothesis, rng, split, _QUANTITIES)
        if entails(premise, hypothesis) == (label == ENTAILMENT):
            return scenes.tell(premise, rng), scenes.tell(hypothesis, rng)


def entails(premise: Scene, hypothesis: Scene) -> bool:
    """Whether the hypothesis is true whenever the premise is.

    `no` and `all` reverse entailment for the actor: what holds for no animal holds for no dog, and what holds for all
    dogs holds for all young dogs. `no` also reverses it for the action.
    """
    if hypothesis.quantity not in _WEAKER[premise.quantity]:
        return False
    actors = (premise.actor, premise.actor_quality), (hypothesis.actor, hypothesis.actor_quality)
    if hypothesis.quantity in ("no", "all"):
        about = _is(*actors[1], *actors[0])
    elif hypothesis.quantity == "most":
        about = _is(*actors[0], *actors[1]) and _is(*actors[1], *actors[0])
    else:
        about = _is(*actors[0], *actors[1])
    done = _does(hypothesis, premise) if hypothesis.quantity == "no" else _does(premise, hypothesis)
    return about and done


def _does(first: Scene, second: Scene) -> bool:
    """Whether doing the first scene's action implies doing the second's."""
    things = _is(first.thing, first.thing_quality, second.thing, second.thing_quality)
    return same(first.verb, second.verb) and things and _covers(first.place, second.place)


def _is(noun: str, quality: str | None, other: str, other_quality: str | None) -> bool:
    """Whether everything described by the one is also described by the other."""
    return _covers(noun, other) and (other_quality is None or same(quality, other_quality))


def _covers(narrow: str | None, broad: str | None) -> bool:
    return broad is None or same(narrow, broad) or KIND_OF.get(narrow or "") == broad
