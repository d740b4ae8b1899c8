import itertools

import numpy as np
import pytest

from graft.registry import depth


@pytest.mark.parametrize(
    ("small", "large", "expected"), [(4, 12, (2, 5, 8, 11)), (3, 6, (1, 3, 5)), (2, 2, (0, 1)), (2, 5, (2, 4))]
)
def test_the_uniform_map_spreads_layers_and_ends_in_the_last(small, large, expected):
    assert depth.uniform(small, large) == tuple(enumerate(expected))


def test_the_spread_map_gives_every_large_layer_one_small_one():
    assert depth.spread(2, 4) == ((0, 0), (0, 1), (1, 2), (1, 3))
    assert depth.spread(2, 3) == ((0, 0), (0, 1), (1, 2))
    assert depth.shares(depth.spread(2, 3)) == {(0, 0): 0.5, (0, 1): 0.5, (1, 2): 1.0}


@pytest.mark.parametrize(
    ("small", "large", "expected"),
    [
        (4, 12, (0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3)),
        (3, 5, (0, 0, 1, 1, 2)),
        (4, 6, (0, 0, 1, 1, 2, 3)),
        (1, 2, (0, 0)),
    ],
)
def test_midpoints_go_evenly_behind_small_layers_and_behind_the_last_only_where_there_are_enough(
    small, large, expected
):
    assert [m for m, _ in depth.midpoints(small, large)] == list(expected)


def test_every_map_by_name_is_valid_and_has_the_pairs_it_says():
    rng = np.random.default_rng(0)
    for large, name in itertools.product(range(1, 15), depth.DEPTHS):
        for small in range(1, large + 1):
            found = depth.named(name, small, large, rng.random((small, large)).tolist())
            depth.check(found, small, large)
            assert len(found) == depth.pairs(name, small, large)


def test_the_map_by_similarity_is_the_best_of_all_rising_ones():
    rng = np.random.default_rng(1)
    for small, large in [(1, 1), (2, 5), (3, 6), (4, 6), (5, 5)]:
        similarity = rng.random((small, large))
        best = max(
            itertools.combinations(range(large), small),
            key=lambda rising: sum(similarity[m, g] for m, g in enumerate(rising)),
        )
        assert depth.by_similarity(similarity.tolist()) == tuple(enumerate(best))


def test_a_small_model_made_of_every_third_layer_is_found():
    similarity = [[1.0 if g == 3 * m + 2 else 0.9 for g in range(12)] for m in range(4)]
    assert depth.by_similarity(similarity) == depth.uniform(4, 12)


@pytest.mark.parametrize(
    "depth_map", [((0, 0),), ((0, 1), (1, 1)), ((0, 1), (1, 0)), ((0, 0), (1, 3)), ((1, 0), (0, 1))]
)
def test_a_wrong_depth_map_is_refused(depth_map):
    with pytest.raises(ValueError, match="depth map"):
        depth.check(depth_map, 2, 3)


def test_a_deeper_small_model_is_refused():
    for find in (depth.uniform, depth.spread):
        with pytest.raises(ValueError, match="13 small layers do not map onto 12"):
            find(13, 12)


def test_layers_that_are_equally_similar_go_to_the_later_one():
    assert depth.by_similarity([[1.0, 1.0, 1.0]]) == ((0, 2),)
    assert depth.by_similarity([[1.0, 1.0, 1.0], [0.5, 0.5, 0.5]]) == ((0, 1), (1, 2))
