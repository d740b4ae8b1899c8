import random
from dataclasses import asdict, replace

import pytest

from graft.tasks.generated import scenes
from graft.tasks.generated.scenes import Scene

SCENE = Scene("a", "teacher", "old", "washing", "orange", "red", "in the park")
MANY = {"a": 1, "two": 1, "all": 1, "no": 1}


def told(scene, draws=60):
    rng = random.Random(0)
    return {scenes.tell(scene, rng) for _ in range(draws)}


def test_one_scene_is_described_in_four_ways():
    assert told(SCENE) == {
        "an old teacher is washing a red orange in the park",
        "in the park an old teacher is washing a red orange",
        "a red orange is being washed by an old teacher in the park",
        "in the park a red orange is being washed by an old teacher",
    }


@pytest.mark.parametrize(
    ("quantity", "actor", "sentence"),
    [
        ("two", "man", "two old men are washing an orange"),
        ("most", "person", "most of the old people are washing an orange"),
        ("all", "fox", "all the old foxes are washing an orange"),
        ("no", "dog", "no old dog is washing an orange"),
    ],
)
def test_quantities_ask_for_their_forms(quantity, actor, sentence):
    scene = replace(SCENE, quantity=quantity, actor=actor, thing_quality=None, place=None)
    assert told(scene) == {sentence}


def test_an_edit_changes_one_thing_or_swaps_the_roles():
    rng, kinds = random.Random(0), set()
    for _ in range(3000):
        before = scenes.draw(rng, "train", MANY)
        after = scenes.edited(before, rng, "train", MANY)
        old, new = asdict(before), asdict(after)
        changed = {key for key in old if old[key] != new[key]}
        if changed == {"actor", "thing"}:
            assert (before.actor, before.thing) == (after.thing, after.actor)
        else:
            assert len(changed) <= 1
        kinds |= {frozenset(changed)}
    assert kinds == {frozenset(), frozenset({"actor", "thing"}), *(frozenset({key}) for key in asdict(SCENE))}


def test_qualities_stay_with_what_they_fit():
    rng = random.Random(0)
    for _ in range(1000):
        scene = scenes.edited(scenes.draw(rng, "dev", MANY), rng, "dev", MANY)
        assert scene.actor_quality in (None, *scenes.OF_ACTORS.seen, *scenes.OF_ACTORS.held)
