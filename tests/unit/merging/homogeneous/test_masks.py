import numpy as np

from graft.merging.homogeneous.masks import RANGE, draws


def test_a_blocks_numbers_are_the_same_wherever_it_begins():
    whole = draws(3, "layer.weight", 1, 0, 101)
    for start, count in ((0, 1), (1, 1), (7, 20), (8, 21), (100, 1), (0, 101)):
        assert np.array_equal(draws(3, "layer.weight", 1, start, count), whole[start : start + count])


def test_seeds_names_and_models_have_numbers_of_their_own():
    all_of_them = [draws(*key, 0, 1000) for key in ((0, "a", 0), (1, "a", 0), (0, "b", 0), (0, "a", 1))]
    for i, one in enumerate(all_of_them):
        for other in all_of_them[:i]:
            assert abs(np.corrcoef(one, other)[0, 1]) < 0.1


def test_numbers_are_evenly_spread():
    numbers = draws(0, "a", 0, 0, 100_000) / RANGE
    assert np.allclose(np.histogram(numbers, bins=10, range=(0, 1))[0] / 1e5, 0.1, atol=0.005)
