import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from graft.io import files
from graft.io.model_folders import open_folder
from graft.registry.shapes import Shape
from graft.tasks.alike import read_tokenizer

SHARDS = 3


def sharded(folder, pickled: bool) -> dict[str, torch.Tensor]:
    """Divide a folder's weights among several files, with an index; returns all of them."""
    whole = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    stem, ending = ("pytorch_model", "bin") if pickled else ("model", "safetensors")
    placed = {}
    for number in range(SHARDS):
        name = f"{stem}-{number + 1:05d}-of-{SHARDS:05d}.{ending}"
        part = {key: whole[key] for key in sorted(whole)[number::SHARDS]}
        torch.save(part, folder / name) if pickled else save_file(part, folder / name)
        placed |= dict.fromkeys(part, name)
    whole_name = f"{stem}.{ending}.index.json"
    files.write_json(folder / whole_name, {"metadata": {}, "weight_map": placed})
    return whole


@pytest.fixture
def model(pico_models, tmp_path):
    """A copy of a model folder that a test may damage."""
    return shutil.copytree(pico_models / "small", tmp_path / "model")


def test_a_part_that_is_missing_is_named(model):
    sharded(model, pickled=False)
    (model / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(ValueError, match="model-00002-of-00003.safetensors, named in model.safetensors.index"):
        open_folder(model)


def test_an_index_does_not_lead_out_of_its_folder(model):
    files.write_json(model / "model.safetensors.index.json", {"weight_map": {"a": "../elsewhere.safetensors"}})
    (model / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="is not the name of a file in its folder"):
        open_folder(model)


def test_what_is_no_model_folder_is_reported_with_what_to_do(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cases = {
        "owner/tiny": "hf download owner/tiny --local-dir",
        "nowhere": "not a folder; a Hugging Face model folder is needed$",
        "model/config.json": "is a file; name the model folder",
    }
    for name, message in cases.items():
        with pytest.raises(ValueError, match=f"--large: {name} .*{message}"):
            open_folder(Path(name), "--large")
    with pytest.raises(ValueError, match="config.json is missing; .*needed, perhaps model inside it"):
        open_folder(tmp_path)
    (model / "model.safetensors").rename(model / "tf_model.h5")
    with pytest.raises(ValueError, match="contains weights for TensorFlow only"):
        open_folder(model)
    (model / "tf_model.h5").unlink()
    with pytest.raises(ValueError, match="contains neither model.safetensors nor pytorch_model.bin"):
        open_folder(model)
    (model / "adapter_config.json").write_text("{}")
    with pytest.raises(ValueError, match="contains a LoRA adapter but no model.*merge_and_unload"):
        open_folder(model)


@pytest.mark.parametrize(
    ("text", "message"), [("[]", "contains no keys"), ("{", "not valid JSON"), ("\xff", "not valid JSON")]
)
def test_a_damaged_config_is_named(model, text, message):
    (model / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=f"config.json: {message}"):
        open_folder(model)


def test_quantised_weights_are_refused(model):
    config = files.read_json(model / "config.json")
    files.write_json(model / "config.json", {**config, "quantization_config": {"bits": 4}})
    with pytest.raises(ValueError, match="its weights are quantised"):
        open_folder(model)


@pytest.mark.parametrize("pickled", [False, True])
def test_a_file_that_git_lfs_has_not_fetched_is_no_model(model, pickled):
    sharded(model, pickled)
    part = sorted(model.glob("*-00002-of-*"))[0]
    part.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(ValueError, match=f"{part.name}: only a pointer to the weights in git-lfs; fetch them with"):
        open_folder(model)


@pytest.mark.parametrize("name", ["tokenizer_config.json", "added_tokens.json", "config.json"])
@pytest.mark.parametrize("text", ["[]", "{bad"])
def test_what_a_model_folder_says_is_read_by_one_reader(name, text, model):
    (model / "tokenizer.json").unlink()
    (model / name).write_text(text)
    told = f"{name}: (contains no keys; a JSON object is needed|not valid JSON .*; save or download the model)"
    with pytest.raises(ValueError, match=told):
        Shape.of(model)
        read_tokenizer(model)
