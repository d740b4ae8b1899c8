import pytest
import torch

from graft.encoders.saving import save_model
from graft.io.files import read_json
from graft.merging.classifier_heads.ridge import LinearMap
from graft.merging.composite import manifest

HEAD = LinearMap(torch.ones(2, 8), torch.zeros(2))


def write_probe(folder, encoder, pooling="cls", **changes):
    given = {"parts": {"encoder": encoder}, "maps": {manifest.HEAD: HEAD}, "pooling": pooling, **changes}
    manifest.write(folder, "probe", **given)


def test_paths_are_relative_and_every_file_that_decides_the_logits_is_hashed(pico_encoder, tmp_path):
    save_model(pico_encoder(), tmp_path / "models" / "large")
    write_probe(tmp_path / "runs" / "probe", tmp_path / "models" / "large")
    fields = read_json(tmp_path / "runs" / "probe" / manifest.FILE)
    assert fields["encoder"] == "../../models/large" and fields["pooling"] == "cls"
    assert set(fields["sha256"]) == {
        "head.safetensors", "../../models/large/model.safetensors", "../../models/large/config.json"
    }  # fmt: skip
    assert str(tmp_path) not in (tmp_path / "runs" / "probe" / manifest.FILE).read_text()


def test_a_head_of_another_width_is_named(pico_encoder, tmp_path):
    save_model(pico_encoder(), tmp_path / "large")
    write_probe(tmp_path / "probe", tmp_path / "large")
    with pytest.raises(ValueError, match=r"head.safetensors: tensor weight has shape \[2, 8\], not \[2, 9\]"):
        manifest.read(tmp_path / "probe").linear(manifest.HEAD, 9)


def test_an_unknown_pooling_or_an_empty_part_is_refused(tmp_path):
    with pytest.raises(ValueError, match="pooling 'max' is unknown"):
        write_probe(tmp_path / "probe", tmp_path, "max")
    with pytest.raises(ValueError, match="contains no model"):
        write_probe(tmp_path / "probe", tmp_path)
    assert not (tmp_path / "probe").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parts": {}}, "probe: part encoder is missing or unknown; it has encoder"),
        ({"maps": {}}, "probe: map head.safetensors is missing or unknown"),
        ({"beta": 1.0}, "probe: key beta is missing or unknown; it has pooling"),
    ],
)
def test_what_a_kind_does_not_have_is_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        write_probe(tmp_path / "probe", tmp_path, **changes)
    with pytest.raises(ValueError, match="no composite is called 'magic'"):
        manifest.write(tmp_path / "probe", "magic")
