import shutil

import pytest

from graft.io.files import read_json, write_json
from graft.measuring.architecture import architecture

LARGE, SMALL = "bert-5x18x3x30x60", "bert-2x8x2x20x60"


def test_architectures_are_named_by_what_runs_and_those_of_one_shape_are_one(saved_systems):
    found = {kind: architecture(folder) for kind, folder in saved_systems().items()}
    assert found["finetune"] == found["merge"] == found["lora"] == LARGE
    assert found["probe"] == f"probe({LARGE}, pooling=mean)"
    assert found["layers_probe"] == f"layers_probe({LARGE}, states=3:cls+3:mean)"
    assert found["logit_ensemble"] == f"logit_ensemble({found['probe']}, {SMALL})"
    assert found["ensemble"] == f"ensemble({LARGE}, {LARGE})"
    assert found["stitch"].startswith(f"stitch({SMALL}, {LARGE}, cut=small_to_large+1+")
    assert len(set(found.values())) == len(found) - 2


def test_numbers_change_no_architecture_and_cuts_and_poolings_do(saved_systems):
    folders = saved_systems()

    def with_field(kind, **fields):
        path = folders[kind] / "composite.json"
        before = path.read_text()
        write_json(path, read_json(path) | fields)
        name = architecture(folders[kind])
        path.write_text(before)
        return name

    assert with_field("logit_ensemble", beta=0.9, scales=[1, 2]) == architecture(folders["logit_ensemble"])
    assert with_field("probe", pooling="cls") != architecture(folders["probe"])
    cut = {"direction": "large_to_small", "below": 3, "above": 1}
    assert with_field("stitch", cut=cut) != architecture(folders["stitch"])


def test_a_folder_without_a_system_is_refused(tmp_path):
    with pytest.raises(ValueError, match="contains no system"):
        architecture(tmp_path)


def test_the_weights_are_not_read(saved_systems):
    folders = saved_systems()
    name = architecture(folders["stitch"])
    (folders["finetune"].parent / "encoder" / "model.safetensors").unlink()
    shutil.rmtree(folders["merge"])
    assert architecture(folders["stitch"]) == name
