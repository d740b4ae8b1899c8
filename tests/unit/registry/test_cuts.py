import pytest

from graft.registry.cuts import cuts


def test_cuts_are_behind_each_small_layer_but_the_last_and_as_deep_in_the_large_model():
    found = cuts(4, 12)
    assert [(c.direction, c.below, c.above) for c in found] == [
        ("small_to_large", 1, 3), ("small_to_large", 2, 6), ("small_to_large", 3, 9),
        ("large_to_small", 3, 1), ("large_to_small", 6, 2), ("large_to_small", 9, 3),
    ]  # fmt: skip
    assert [c.number for c in found] == [1, 2, 3, -1, -2, -3]
    assert found[0].name == "small 1-1, large 4-" and found[-1].name == "large 1-9, small 4-"
    assert cuts(4, 12, "large_to_small") == found[3:]
    with pytest.raises(ValueError, match="the small model has 1 layer; it needs 2 or more"):
        cuts(1, 12)
