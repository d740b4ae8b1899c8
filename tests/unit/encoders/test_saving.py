import subprocess
import sys

import pytest

from graft.encoders.saving import save_model

WITHOUT_DEEPSPEED = """
import sys
from transformers import BertConfig, BertModel
from graft.encoders.saving import save_model
sizes = dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=9)
save_model(BertModel(BertConfig(**sizes)), sys.argv[1])
print("deepspeed" in sys.modules)
"""


@pytest.mark.parametrize("kind", ["encoder", "classifier"])
def test_a_saved_model_is_that_of_save_pretrained_byte_for_byte(tmp_path, pico_encoder, pico_classifier, kind):
    model = pico_encoder().float() if kind == "encoder" else pico_classifier()
    (tmp_path / "ours").mkdir()
    save_model(model, tmp_path / "ours")
    model.save_pretrained(tmp_path / "theirs")
    theirs = {path.name: path.read_bytes() for path in (tmp_path / "theirs").iterdir()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "ours").iterdir()} == theirs


def test_saving_loads_no_deepspeed(tmp_path):
    pytest.importorskip("deepspeed")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_DEEPSPEED, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n" and "WARNING" not in done.stderr
