import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from graft.encoders.checkpoints import read_checkpoint
from graft.io.model_folders import open_folder
from tests.unit.io.test_model_folders import SHARDS, sharded


@pytest.fixture
def model(pico_models, tmp_path):
    """A copy of a model folder that a test may damage."""
    return shutil.copytree(pico_models / "small", tmp_path / "model")


@pytest.mark.parametrize("pickled", [False, True])
def test_weights_in_several_files_are_read_as_in_one(model, pickled):
    whole = sharded(model, pickled)
    opened = open_folder(model)
    assert len(opened.weights) == SHARDS and opened.pickled == pickled
    read = read_checkpoint(opened, "here")
    assert read.keys() == whole.keys() and all(read[name].equal(tensor) for name, tensor in whole.items())


def test_a_tensor_in_two_files_is_refused(model):
    sharded(model, pickled=False)
    first, second = sorted(model.glob("*.safetensors"))[:2]
    twice = next(iter(load_file(first)))
    save_file({**load_file(second), twice: torch.zeros(2)}, second)
    with pytest.raises(ValueError, match=f"{twice} is in two weights files"):
        read_checkpoint(open_folder(model), "here")


def test_nobody_is_advised_to_let_a_pickle_run_code(model):
    sharded(model, pickled=True)
    torch.save({"a": Path}, model / "pytorch_model-00002-of-00003.bin")
    with pytest.raises(ValueError, match="damaged, or a pickle of more than tensors.; save or download it again$"):
        read_checkpoint(open_folder(model), "here")
