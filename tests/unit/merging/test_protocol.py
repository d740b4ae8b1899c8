import pytest
import torch

from graft.merging.protocol import Deltas, add, check_depth_map, uniform_depth_map


@pytest.mark.parametrize(
    ("small", "large", "expected"), [(4, 12, (2, 5, 8, 11)), (3, 6, (1, 3, 5)), (2, 2, (0, 1)), (2, 5, (2, 4))]
)
def test_uniform_depth_map_spreads_layers_and_ends_in_the_last(small, large, expected):
    assert uniform_depth_map(small, large) == expected


def test_every_uniform_depth_map_is_valid():
    for large in range(1, 25):
        for small in range(1, large + 1):
            check_depth_map(uniform_depth_map(small, large), small, large)


@pytest.mark.parametrize("depth_map", [(0,), (1, 1), (1, 0), (0, 3), (-1, 2)])
def test_a_wrong_depth_map_is_refused(depth_map):
    with pytest.raises(ValueError, match="depth map"):
        check_depth_map(depth_map, 2, 3)


def test_a_deeper_small_model_is_refused():
    with pytest.raises(ValueError, match="13 small layers do not map onto 12"):
        uniform_depth_map(13, 12)


def test_adding_keeps_dtype_and_moves_only_what_has_a_change():
    large = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([3.0])}
    merged = add(Deltas(large, {"a": torch.tensor([1.0, -1.0], dtype=torch.float64)}), 2.0)
    assert merged["a"].tolist() == [3.0, 0.0] and merged["a"].dtype == torch.float32
    assert merged["b"].tolist() == [3.0]


@pytest.mark.parametrize("name", ["a", "c"])
def test_a_change_without_its_tensor_is_named(name):
    with pytest.raises(ValueError, match=f"change of {name} with shape"):
        add(Deltas({"a": torch.zeros(2)}, {name: torch.zeros(3)}), 1.0)
