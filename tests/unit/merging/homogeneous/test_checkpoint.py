import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from graft.merging.homogeneous.checkpoint import Checkpoint
from tests.unit.merging.homogeneous import making


@pytest.fixture
def folder(tmp_path):
    return making.write(tmp_path / "model", making.tensors(0))


def test_any_part_of_a_tensor_is_read_as_it_was_written(folder):
    values = making.tensors(0)
    with Checkpoint.of_folder(folder) as checkpoint:
        assert set(checkpoint.tensors) == set(values)
        for name, tensor in values.items():
            assert checkpoint.tensors[name].shape == tensor.shape
            assert np.array_equal(checkpoint.stored(name), tensor.reshape(-1))
        assert np.array_equal(checkpoint.read("layer.weight", 3, 11), values["layer.weight"].reshape(-1)[3:11])


def test_arrays_in_memory_are_read_like_files_and_not_changed(folder):
    values = {name: np.array(tensor) for name, tensor in making.tensors(0).items()}
    with Checkpoint.of_folder(folder) as read, Checkpoint.of_arrays("memory", values) as held:
        assert {n: (i.dtype, i.shape) for n, i in held.tensors.items()} == {
            n: (i.dtype, i.shape) for n, i in read.tensors.items()
        }
        for name in values:
            assert np.array_equal(held.stored(name), read.stored(name))
        block = held.read("layer.weight", 3, 11)
        assert np.array_equal(block, read.read("layer.weight", 3, 11))
        block += 1
        assert np.array_equal(held.stored("layer.weight"), read.stored("layer.weight"))
        hidden = held.without(("layer.", "scale"))
        assert set(hidden.tensors) == {name for name in values if not name.startswith(("layer.", "scale"))}


def test_a_tensor_is_rows_and_columns(folder):
    with Checkpoint.of_folder(folder) as checkpoint:
        found = {name: info.matrix for name, info in checkpoint.tensors.items()}
    assert found["kernel.weight"] == (3, 4) and found["layer.bias"] == (1, 5) and found["scale"] == (1, 1)
    assert found["nothing.weight"] == (0, 4)


def test_sharded_models_are_read_as_whole_ones(folder, tmp_path):
    making.write(tmp_path / "sharded", making.tensors(0), files=3)
    with Checkpoint.of_folder(folder) as whole, Checkpoint.of_folder(tmp_path / "sharded") as sharded:
        assert len(sharded.files) == 3 and set(whole.tensors) == set(sharded.tensors)
        assert all(np.array_equal(whole.stored(name), sharded.stored(name)) for name in whole.tensors)


def truncated(file):
    file.write_bytes(file.read_bytes()[:-1])


def short(file):
    file.write_bytes(b"\x00\x01")


def without_header(file):
    data = file.read_bytes()
    file.write_bytes(data[:8] + b"x" * (len(data) - 8))


def long_header(file):
    file.write_bytes((1 << 40).to_bytes(8, "little") + file.read_bytes()[8:])


def other_dtype(file):
    data = file.read_bytes()
    file.write_bytes(data.replace(b'"F32"', b'"F8_"'))


def overlapping(file):
    data = file.read_bytes()
    assert data.count(b"[0,40]") == 1
    file.write_bytes(data.replace(b"[0,40]", b"[8,48]"))


def twice(file):
    data = file.read_bytes()
    file.write_bytes(data.replace(b'"layer.weight"', b'"scale"       '))


def other_shape(file):
    data = file.read_bytes()
    file.write_bytes(data.replace(b"[9,6]", b"[9,7]"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncated, r"model.safetensors: truncated: \d+ bytes of \d+; copy or download it again"),
        (short, "truncated, or no safetensors file"),
        (without_header, "its header cannot be read"),
        (lambda file: file.write_bytes(file.read_bytes() + b"x"), "has 1 bytes more than its tensors"),
        (overlapping, "does not begin where the tensor before it ends"),
        (twice, "its header cannot be read"),
        (long_header, "truncated, or no safetensors file"),
        (other_dtype, "is F8_; supported: F64, "),
        (other_shape, "has 216 bytes, not its shape's size"),
        (lambda file: file.unlink(), "contains neither model.safetensors nor pytorch_model.bin"),
    ],
)
def test_a_damaged_file_is_named_in_one_sentence(damage, message, folder):
    damage(folder / "model.safetensors")
    with pytest.raises(ValueError, match=message) as error:
        Checkpoint.of_folder(folder)
    assert str(folder) in str(error.value) and "\n" not in str(error.value)


def test_an_index_that_is_not_of_its_files_is_an_error(tmp_path):
    folder = making.write(tmp_path / "sharded", making.tensors(0), files=2)
    index = folder / "model.safetensors.index.json"
    placed = json.loads(index.read_text())
    del placed["weight_map"]["scale"]
    index.write_text(json.dumps(placed))
    with pytest.raises(ValueError, match="scale is either in the index alone or in a file alone"):
        Checkpoint.of_folder(folder)
    index.write_text("{}")
    with pytest.raises(ValueError, match="not an index of weights files"):
        Checkpoint.of_folder(folder)


def test_a_tensor_in_two_files_is_an_error(tmp_path):
    for file in ("a", "b"):
        save_file({"scale": np.zeros(2)}, tmp_path / file)
    with pytest.raises(ValueError, match="b: scale is in a as well"):
        Checkpoint("both", [tmp_path / "a", tmp_path / "b"])


def test_a_file_that_is_cut_while_it_is_read_is_an_error(folder):
    with Checkpoint.of_folder(folder) as checkpoint:
        last = max(checkpoint.tensors.values(), key=lambda info: info.start + info.count)
        truncated(folder / "model.safetensors")
        with pytest.raises(ValueError, match=f"ends inside {last.name}; it was changed or cut"):
            checkpoint.stored(last.name)
