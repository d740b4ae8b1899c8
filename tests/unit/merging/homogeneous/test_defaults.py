import subprocess
import sys

import pytest
from transformers import AutoConfig

from graft.merging.homogeneous import defaults


@pytest.mark.parametrize(
    ("family", "key", "default"),
    [
        ("bert", "layer_norm_eps", 1e-12),
        ("deberta-v2", "layer_norm_eps", 1e-7),
        ("modernbert", "norm_eps", 1e-5),
        ("mpnet", "relative_attention_num_buckets", 32),
        ("llama", "rms_norm_eps", 1e-6),
        ("roberta", "pad_token_id", 1),
        ("bert", "position_embedding_type", "absolute"),
        ("no-such-family", "position_embedding_type", "absolute"),
        ("../bert", "hidden_act", None),
    ],
)
def test_defaults_are_those_of_transformers(family, key, default):
    assert defaults.of_family(family).get(key) == default


def test_all_literal_defaults_are_what_transformers_makes_of_them():
    for family in ("bert", "roberta", "distilbert", "electra", "mpnet", "albert", "deberta", "deberta-v2"):
        made = AutoConfig.for_model(family).to_dict()
        for key, value in defaults.of_family(family).items():
            assert key not in made or value in (made[key], None), (family, key)


def test_defaults_are_found_without_torch():
    code = "import sys; from graft.merging.homogeneous import configs, companions, defaults, layout\n"
    code += "assert defaults.of_family('bert')['layer_norm_eps'] == 1e-12\n"
    code += "assert not {'torch', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
