import pytest
import torch

from graft.merging.protocol import Deltas, add


def test_adding_keeps_dtype_and_moves_only_what_has_a_change():
    large = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([3.0])}
    merged = add(Deltas(large, {"a": torch.tensor([1.0, -1.0], dtype=torch.float64)}), 2.0)
    assert merged["a"].tolist() == [3.0, 0.0] and merged["a"].dtype == torch.float32
    assert merged["b"].tolist() == [3.0]


@pytest.mark.parametrize("name", ["a", "c"])
def test_a_change_without_its_tensor_is_named(name):
    with pytest.raises(ValueError, match=f"change of {name} with shape"):
        add(Deltas({"a": torch.zeros(2)}, {name: torch.zeros(3)}), 1.0)
