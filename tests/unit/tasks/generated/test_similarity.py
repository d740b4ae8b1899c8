import random
from dataclasses import replace

import pytest

from graft.tasks.generated import similarity
from graft.tasks.generated.scenes import Scene

SCENE = Scene("a", "dog", "old", "washing", "car", "red", "in the park")
OTHER = Scene("two", "nurse", "tall", "hiding", "apple", "new", "in the kitchen")


def test_a_scene_is_like_itself_and_not_like_another():
    assert similarity.similarity(SCENE, SCENE) == pytest.approx(1)
    assert similarity.similarity(SCENE, OTHER) == 0
    assert similarity.similarity(SCENE, replace(OTHER, verb="washing")) == similarity.similarity(
        replace(OTHER, verb="washing"), SCENE
    )


def test_the_nearer_the_words_the_higher_the_score():
    order = [replace(SCENE, actor=actor) for actor in ("hound", "animal", "cat", "nurse")]
    scores = [similarity.similarity(SCENE, scene) for scene in order]
    assert scores[0] == pytest.approx(1) and scores == sorted(scores, reverse=True) and len(set(scores)) == 4


def test_what_one_sentence_leaves_out_counts_less_than_what_it_contradicts():
    dropped, changed = replace(SCENE, place=None), replace(SCENE, place="in the kitchen")
    assert 1 > similarity.similarity(SCENE, dropped) > similarity.similarity(SCENE, changed)


def test_swapped_roles_are_another_scene_of_the_same_words():
    scene = replace(SCENE, thing="nurse", thing_quality=None, actor_quality=None)
    swapped = replace(scene, actor="nurse", thing="dog")
    assert 0.3 < similarity.similarity(scene, swapped) < 0.6


def test_scores_are_spread_over_the_scale():
    rng = random.Random(0)
    scores = [float(similarity.row(rng, "train", None)[-1]) for _ in range(1000)]
    assert all(sum(low <= s < low + 1 for s in scores) > 60 for low in range(4)) and max(scores) <= 5
