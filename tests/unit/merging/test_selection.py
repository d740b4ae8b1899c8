import json
import math

import pytest

from graft.merging.selection import Point, search


def test_the_best_score_wins_and_every_point_is_recorded_in_order():
    choice = search([Point(0), Point(2), Point(1)], lambda p: {0: 0.1, 1: 0.7, 2: 0.3}[p.strength])
    assert choice.chosen == Point(1) and choice.score == 0.7
    assert [point.strength for point, _ in choice.searched] == [0, 2, 1]


def test_among_equals_the_smallest_strength_wins_and_then_the_larger_ridge():
    points = [Point(1, 0.1), Point(0.5, 0.1), Point(0.5, 1.0), Point(0.5, 0.3), Point(-1, 5.0)]
    assert search(points, lambda _: 0.5).chosen == Point(0.5, 1.0)


def test_a_score_that_is_not_a_number_never_wins():
    scores = {0: math.nan, 1: -0.9, 2: math.nan}
    assert search([Point(s) for s in scores], lambda p: scores[p.strength]).chosen == Point(1)


def test_where_no_score_is_a_number_the_smallest_strength_is_kept():
    choice = search([Point(1), Point(0)], lambda _: math.nan)
    assert choice.chosen == Point(0) and math.isnan(choice.score)


def test_no_points_are_refused():
    with pytest.raises(ValueError, match="nothing to choose from"):
        search([], lambda _: 0.0)


def test_records_are_json_with_the_form_of_choices():
    scores = {0: math.nan, 1: 0.7}
    records = search([Point(0), Point(1)], lambda p: scores[p.strength]).records("accuracy")
    curve = [{"value": 0, "score": None}, {"value": 1, "score": 0.7}]
    assert records == [{"name": "strength", "metric": "accuracy", "chosen": 1, "searched": curve}]
    json.dumps(records, allow_nan=False)


def test_records_tell_the_ridge_curve_at_the_chosen_strength():
    points = [Point(0, 0.1), Point(0, 1.0), Point(1, 0.1), Point(1, 1.0)]
    strength, ridge = search(points, lambda p: p.strength + p.ridge).records("accuracy")
    assert len(strength["searched"]) == 4 and strength["searched"][1] == {"value": 0, "ridge": 1.0, "score": 1.0}
    assert ridge["chosen"] == 1.0 and ridge["searched"] == [{"value": 0.1, "score": 1.1}, {"value": 1.0, "score": 2.0}]
