import random
from dataclasses import replace

import pytest

from graft.tasks.generated import entailment
from graft.tasks.generated.scenes import Scene

SCENE = Scene("a", "dog", "old", "washing", "car", "red", "in the park")


def scene(**changes):
    return replace(SCENE, **changes)


@pytest.mark.parametrize(
    ("premise", "hypothesis", "follows"),
    [
        ({}, {}, True),
        ({}, {"actor": "hound", "verb": "cleaning", "thing": "automobile"}, True),
        ({}, {"actor": "animal", "thing": "vehicle", "place": "outside"}, True),
        ({"actor": "animal"}, {"actor": "dog"}, False),
        ({}, {"actor": "cat"}, False),
        ({}, {"actor_quality": None, "thing_quality": None, "place": None}, True),
        ({"place": None}, {}, False),
        ({}, {"place": "indoors"}, False),
        ({}, {"actor_quality": "young"}, False),
        ({"thing": "cat"}, {"actor": "cat", "thing": "dog"}, False),
        # How many.
        ({"quantity": "three"}, {"quantity": "two"}, True),
        ({"quantity": "two"}, {"quantity": "three"}, False),
        ({"quantity": "some"}, {"quantity": "all"}, False),
        ({"quantity": "all"}, {"quantity": "some", "actor": "animal", "place": None}, True),
        ({"quantity": "no"}, {"quantity": "some"}, False),
        ({"quantity": "a"}, {"quantity": "no"}, False),
        # `all` is turned round for whom it is about, not for what is done.
        ({"quantity": "all", "actor_quality": None}, {"quantity": "all"}, True),
        ({"quantity": "all"}, {"quantity": "all", "actor_quality": None}, False),
        ({"quantity": "all"}, {"quantity": "all", "place": None}, True),
        ({"quantity": "all", "place": None}, {"quantity": "all"}, False),
        # `no` is turned round for both.
        ({"quantity": "no", "actor": "animal"}, {"quantity": "no"}, True),
        ({"quantity": "no"}, {"quantity": "no", "actor": "animal"}, False),
        ({"quantity": "no", "thing": "vehicle"}, {"quantity": "no"}, True),
        ({"quantity": "no", "place": None}, {"quantity": "no"}, True),
        ({"quantity": "no"}, {"quantity": "no", "place": None}, False),
        # `most` of the dogs says nothing of most of the old dogs, nor of most animals.
        ({"quantity": "most"}, {"quantity": "most", "actor_quality": None}, False),
        ({"quantity": "most", "actor_quality": None}, {"quantity": "most"}, False),
        ({"quantity": "most"}, {"quantity": "most", "thing": "vehicle"}, True),
    ],
)
def test_what_follows_from_what(premise, hypothesis, follows):
    assert entailment.entails(scene(**premise), scene(**hypothesis)) is follows


def test_both_labels_are_made_of_the_same_kinds_of_sentences():
    rng = random.Random(0)
    lengths = {}
    for label in (entailment.ENTAILMENT, entailment.NOT_ENTAILMENT):
        rows = [entailment.row(rng, "train", label) for _ in range(500)]
        lengths[label] = sum(len(hypothesis.split()) for _, hypothesis in rows) / 500
    assert abs(lengths[entailment.ENTAILMENT] - lengths[entailment.NOT_ENTAILMENT]) < 2
