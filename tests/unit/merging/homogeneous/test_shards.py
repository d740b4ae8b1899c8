import json

import numpy as np
import pytest
from safetensors import safe_open

from graft.merging.homogeneous.shards import Slot, Target, Writer, shared_out, size


@pytest.mark.parametrize(
    ("text", "count"), [("5GB", 5 * 10**9), ("500MB", 5 * 10**8), ("1.5kb", 1500), ("7", 7), ("7 B", 7)]
)
def test_sizes_are_decimal(text, count):
    assert size(text) == count


@pytest.mark.parametrize("text", ["", "GB", "5XB", "-1GB", "0", "5 GB of it"])
def test_a_size_that_is_none_is_an_error(text):
    with pytest.raises(ValueError, match="write it as 500MB or 5GB"):
        size(text)


def test_files_are_filled_in_order_and_hold_one_tensor_at_least():
    slots = [Slot(name, "F32", (count,)) for name, count in (("a", 2), ("b", 3), ("c", 1), ("d", 9), ("e", 1))]
    assert [[slot.name for slot in file] for file in shared_out(slots, 20)] == [["a", "b"], ["c"], ["d"], ["e"]]


def test_blocks_may_come_in_any_order_and_safetensors_reads_them(tmp_path):
    slots = [Slot("b", "I64", (1,)), Slot("a", "F32", (2, 3)), Slot("c", "F16", (3,)), Slot("d", "F32", (0,))]
    values = np.arange(6, dtype=np.float32)
    with Writer(tmp_path, slots, 1000) as writer:
        writer.write("c", 0, np.float32([1, 2, 3]))
        writer.write("a", 4, values[4:])
        writer.write("a", 0, values[:4])
        writer.write("b", 0, np.int64([-7]))
        writer.write("d", 0, np.zeros(0, np.float32))
    with safe_open(tmp_path / "model.safetensors", "numpy") as file:
        assert file.metadata() == {"format": "pt"}
        assert np.array_equal(file.get_tensor("a"), values.reshape(2, 3)) and file.get_tensor("b") == [-7]
        assert file.get_tensor("c").dtype == np.float16 and file.get_tensor("d").shape == (0,)


def test_a_model_in_memory_is_what_its_files_would_hold():
    slots = [Slot("a", "F32", (2, 3)), Slot("b", "I64", ()), Slot("c", "F16", (3,)), Slot("d", "F32", (0, 2))]
    values = np.arange(6, dtype=np.float32)
    with Target(slots) as target:
        target.write("a", 4, values[4:])
        target.write("a", 0, values[:4])
        target.write("b", 0, np.int64([-7]))
        target.write("c", 1, np.float32([2, 3]))
        target.write("c", 0, np.float32([1]))
    assert np.array_equal(target.arrays["a"], values.reshape(2, 3)) and target.arrays["b"] == -7
    assert np.array_equal(target.arrays["c"], np.float16([1, 2, 3])) and target.arrays["d"].shape == (0, 2)
    with pytest.raises(ValueError, match="a: bytes 4 to 8 were not written"), Target(slots[:1]) as target:
        target.write("a", 0, values[:1])
        target.write("a", 2, values[2:])


def test_several_files_have_an_index(tmp_path):
    slots = [Slot(name, "F32", (2,)) for name in "abc"]
    with Writer(tmp_path, slots, 16) as writer:
        for name in "abc":
            writer.write(name, 0, np.zeros(2, np.float32))
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["metadata"] == {"total_size": 24}
    first, second = (f"model-0000{i}-of-00002.safetensors" for i in (1, 2))
    assert index["weight_map"] == {"a": first, "b": first, "c": second}


@pytest.mark.parametrize(
    ("start", "values", "message"),
    [
        (3, [4, 5], "ids has 16 bytes; 12 to 20 would lie outside them"),
        (-1, [4], "ids has 16 bytes; -4 to 0 would lie outside them"),
        (0, np.int64([0, 1, 2, 3]), "ids is to be written as I32, and int64 is given"),
    ],
)
def test_nothing_is_written_outside_of_a_tensor_or_in_another_width(start, values, message, tmp_path):
    slots = [Slot("ids", "I32", (4,)), Slot("z", "F32", (2,))]
    with pytest.raises(ValueError, match=message), Writer(tmp_path, slots, 1000) as writer:
        writer.write("z", 0, np.float32([7, 8]))
        writer.write("ids", start, np.asarray(values, getattr(values, "dtype", np.int32)))
    with safe_open(tmp_path / "model.safetensors", "numpy") as file:
        assert np.array_equal(file.get_tensor("z"), np.float32([7, 8])) and not file.get_tensor("ids").any()


def test_a_tensor_that_was_not_announced_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="b is not among the tensors"), Writer(tmp_path, [], 1000) as writer:
        writer.write("b", 0, np.float32([1]))
    with pytest.raises(ValueError, match="two tensors are to be written under one name"):
        Writer(tmp_path, [Slot("a", "F32", (1,))] * 2, 1000)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([(0, 2)], "a: bytes 8 to 16 were not written"),
        ([(2, 4)], "a: bytes 0 to 8 were not written"),
        ([], "a: bytes 0 to 16 were not written"),
        ([(0, 2), (3, 4)], "a: bytes 8 to 12 were not written"),
        ([(0, 3), (2, 4)], "a: bytes 8 to 12 were written twice"),
        ([(0, 4), (0, 4)], "a: bytes 0 to 16 were written twice"),
    ],
)
def test_what_is_not_written_once_is_told_when_files_are_closed(parts, message, tmp_path):
    with pytest.raises(ValueError, match=message), Writer(tmp_path, [Slot("a", "F32", (2, 2))], 1000) as writer:
        for start, stop in parts:
            writer.write("a", start, np.ones(stop - start, np.float32))
