import pytest
import torch

from graft.files import read_json
from graft.merging.composite import manifest
from graft.merging.heads.ridge import LinearMap

HEAD = LinearMap(torch.ones(2, 8), torch.zeros(2))


def test_paths_are_relative_and_every_file_that_decides_the_logits_is_hashed(pico_encoder, tmp_path):
    pico_encoder().save_pretrained(tmp_path / "models" / "large")
    manifest.write_probe(tmp_path / "runs" / "probe", tmp_path / "models" / "large", "cls", HEAD)
    fields = read_json(tmp_path / "runs" / "probe" / manifest.FILE)
    assert fields["encoder"] == "../../models/large" and fields["pooling"] == "cls"
    assert set(fields["sha256"]) == {
        "head.safetensors", "../../models/large/model.safetensors", "../../models/large/config.json"
    }  # fmt: skip
    assert str(tmp_path) not in (tmp_path / "runs" / "probe" / manifest.FILE).read_text()


def test_a_head_of_another_width_is_named(pico_encoder, tmp_path):
    pico_encoder().save_pretrained(tmp_path / "large")
    manifest.write_probe(tmp_path / "probe", tmp_path / "large", "cls", HEAD)
    with pytest.raises(ValueError, match=r"head.safetensors: tensor weight has shape \[2, 8\], not \[2, 9\]"):
        manifest.read(tmp_path / "probe").head(9)


def test_an_unknown_pooling_or_an_empty_part_is_refused(tmp_path):
    with pytest.raises(ValueError, match="pooling 'max' is not known"):
        manifest.write_probe(tmp_path / "probe", tmp_path, "max", HEAD)
    with pytest.raises(ValueError, match="holds no model"):
        manifest.write_probe(tmp_path / "probe", tmp_path, "cls", HEAD)
    assert not (tmp_path / "probe").exists()
