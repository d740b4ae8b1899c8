"""Scenes: somebody does something to something somewhere. Draws them, edits them and puts them into words."""

import random
from dataclasses import dataclass, fields, replace

from graft.tasks.generated.lexicon import (
    ACTIONS,
    ACTORS,
    KIND_OF,
    OF_ACTORS,
    OF_THINGS,
    PLACES,
    PLURALS,
    SYNONYMS,
    THINGS,
    VERBS,
    Words,
    articled,
)

# Share of scenes in which an actor does something to another actor, so that the two can be swapped.
_BETWEEN_ACTORS = 0.35
_QUALITY = 0.4
_PLACE = 0.45


@dataclass(frozen=True)
class Scene:
    """A scene; `quantity` is that of the actor: a, two, three, some, most, all or no. None: not mentioned."""

    quantity: str
    actor: str
    actor_quality: str | None
    verb: str
    thing: str
    thing_quality: str | None
    place: str | None


def draw(rng: random.Random, split: str, quantities: dict[str, int]) -> Scene:
    """Draw a scene; `quantities` are those of the actor, with weights."""
    actor = _noun(rng, split, ACTORS)
    thing = _noun(rng, split, ACTORS if rng.random() < _BETWEEN_ACTORS else THINGS)
    return Scene(
        quantity=rng.choices(list(quantities), list(quantities.values()))[0],
        actor=actor,
        actor_quality=OF_ACTORS.draw(rng, split) if rng.random() < _QUALITY else None,
        verb=VERBS.draw(rng, split),
        thing=thing,
        thing_quality=_quality(rng, split, thing) if rng.random() < _QUALITY else None,
        place=_other_place(None, rng, split) if rng.random() < _PLACE else None,
    )


def edited(scene: Scene, rng: random.Random, split: str, quantities: dict[str, int]) -> Scene:
    """Return the scene with one edit: a word replaced, dropped or added, the roles swapped, another quantity."""
    slot = rng.choice([field.name for field in fields(Scene)])
    value = getattr(scene, slot)
    if slot == "quantity":
        return replace(scene, quantity=rng.choice(list(quantities)))
    if slot in ("actor", "thing"):
        if slot == "thing" and _is_actor(scene.thing) and rng.random() < 0.6:
            return replace(scene, actor=scene.thing, thing=scene.actor)
        return replace(scene, **{slot: rng.choice((_synonym, _broader, _sibling, _other_noun))(value, rng, split)})
    if slot == "verb":
        return replace(scene, verb=rng.choice((_synonym, _other_verb))(value, rng, split))
    if value is not None and rng.random() < 0.5:
        return replace(scene, **{slot: None})  # type: ignore[arg-type]
    if slot == "place":
        edit = rng.choice((_broader, _other_place)) if value else _other_place
        return replace(scene, place=edit(value, rng, split))
    about = scene.actor if slot == "actor_quality" else scene.thing
    return replace(scene, **{slot: _quality(rng, split, about)})


def tell(scene: Scene, rng: random.Random) -> str:
    """Describe the scene in a sentence: the place last or first, and a single actor also in the passive."""
    actor = _phrase(scene.quantity, scene.actor_quality, scene.actor)
    thing = _phrase("a", scene.thing_quality, scene.thing)
    be = "is" if scene.quantity in ("a", "no") else "are"
    sentence = f"{actor} {be} {scene.verb} {thing}"
    if scene.quantity == "a" and rng.random() < 0.25:
        sentence = f"{thing} is being {ACTIONS[scene.verb]} by {actor}"
    if scene.place is None:
        return sentence
    return f"{scene.place} {sentence}" if rng.random() < 0.25 else f"{sentence} {scene.place}"


def _phrase(quantity: str, quality: str | None, noun: str) -> str:
    determiner = {"most": "most of the", "all": "all the"}.get(quantity, quantity)
    form = noun if quantity in ("a", "no") else PLURALS.get(noun, f"{noun}s")
    return articled(" ".join(part for part in (determiner, quality, form) if part))


def _is_actor(noun: str) -> bool:
    return KIND_OF.get(noun, noun) in ACTORS


def _noun(rng: random.Random, split: str, table: dict[str, Words]) -> str:
    # Weight groups by size, so that all words are about equally frequent.
    sizes = [len(group.seen) for group in table.values()]
    return rng.choices(list(table.values()), sizes)[0].draw(rng, split)


def _quality(rng: random.Random, split: str, noun: str) -> str:
    return (OF_ACTORS if _is_actor(noun) else OF_THINGS).draw(rng, split)


def _synonym(word: str, rng: random.Random, split: str) -> str:
    return SYNONYMS.get(word, word)


def _broader(word: str, rng: random.Random, split: str) -> str:
    return KIND_OF.get(word, word)


def _sibling(word: str, rng: random.Random, split: str) -> str:
    return (ACTORS | THINGS)[KIND_OF.get(word, word)].draw(rng, split)


def _other_noun(word: str, rng: random.Random, split: str) -> str:
    return _noun(rng, split, ACTORS if _is_actor(word) else THINGS)


def _other_verb(word: str, rng: random.Random, split: str) -> str:
    return VERBS.draw(rng, split)


def _other_place(word: str | None, rng: random.Random, split: str) -> str:
    return rng.choice(list(PLACES.values())).draw(rng, split)
