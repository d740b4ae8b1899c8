import subprocess
import sys

import pytest
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForSequenceClassification

from graft.encoders.models import load_classifier, load_encoder, set_labels
from graft.encoders.saving import save_model
from tests.unit.families import FAMILIES, pico_config

WITHOUT_DEEPSPEED = """
import sys
from graft.encoders.models import config_of
from graft.encoders.network import Encoder
from graft.encoders.saving import save_model
from graft.registry.shapes import Shape
save_model(Encoder(config_of(Shape(1, 8, 1, 8, 9))), sys.argv[1])
print("deepspeed" in sys.modules)
"""


@pytest.mark.parametrize("kind", ["encoder", "classifier"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_saved_model_is_that_of_save_pretrained_byte_for_byte(tmp_path, family, kind):
    config = pico_config(family)
    set_labels(config, ("a", "b", "c"))
    auto, load = {
        "encoder": (AutoModel, load_encoder),
        "classifier": (AutoModelForSequenceClassification, load_classifier),
    }[kind]
    auto.from_config(config).save_pretrained(tmp_path / "theirs")
    (tmp_path / "ours").mkdir()
    save_model(load(tmp_path / "theirs"), tmp_path / "ours")
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    assert (ours / "config.json").read_bytes() == (theirs / "config.json").read_bytes()
    found, wanted = (load_file(folder / "model.safetensors") for folder in (ours, theirs))
    extra = set(found) - set(wanted)
    # Where a family's encoders have no pooler, ours is saved under the name of a classifier's first layer.
    family = load(ours).shape.kind
    first = [module for module in (family.head.dense, family.head.norm) if module]
    parts = ("weight", "bias") if family.biased else ("weight",)
    lacking = kind == "encoder" and not family.head.pooler
    assert extra == ({f"{module}.{part}" for module in first for part in parts} if lacking else set())
    assert not set(wanted) - set(found)
    for name, tensor in wanted.items():
        # Rows of positions that no token has are zero.
        unread = load(ours).shape.kind.unread if "position_embeddings" in name else 0
        assert found[name][unread:].equal(tensor[unread:]) and not found[name][:unread].any()
    if not extra and not load(ours).shape.kind.unread:
        assert (ours / "model.safetensors").read_bytes() == (theirs / "model.safetensors").read_bytes()


def test_saving_loads_no_deepspeed(tmp_path):
    pytest.importorskip("deepspeed")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_DEEPSPEED, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n" and "WARNING" not in done.stderr
