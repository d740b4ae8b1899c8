from dataclasses import replace

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


def test_parts_move_whole(parts_of):
    parts = replace(parts_of("functional"), projections=(torch.zeros(2, 3),)).to("meta")
    bodies = parts.large, parts.small_finetuned, parts.small_pretrained
    found = [tensor for named in (*bodies, parts.moments, *parts.texts) for tensor in named.values()]
    assert {tensor.device.type for tensor in (*found, *parts.projections)} == {"meta"} == {parts.device.type}
