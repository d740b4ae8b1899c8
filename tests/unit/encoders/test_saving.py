import subprocess
import sys

import pytest
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
    theirs = {path.name: path.read_bytes() for path in (tmp_path / "theirs").iterdir()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "ours").iterdir()} == theirs


def test_saving_loads_no_deepspeed(tmp_path):
    pytest.importorskip("deepspeed")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_DEEPSPEED, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n" and "WARNING" not in done.stderr
