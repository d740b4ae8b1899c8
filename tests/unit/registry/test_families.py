"""What every family says of itself, beside transformers. Its models are tested in encoders/test_network."""

import re
from pathlib import Path

import pytest

from graft.encoders.models import config_of
from graft.registry import families
from graft.registry.shapes import Shape
from tests.unit.families import FAMILIES, pico_config

ROOT = Path(__file__).parents[3] / "graft"
# A key of each family's config, and a value with which its encoders compute something else.
UNSUPPORTED = {
    "bert": {"hidden_act": "gelu_new"},
    "roberta": {"is_decoder": True},
    "electra": {"embedding_size": 4},
    "distilbert": {"activation": "relu"},
    "mpnet": {"relative_attention_num_buckets": 16},
    "modernbert": {"mlp_bias": True},
    "deberta-v2": {"conv_kernel_size": 3},
}


def test_every_family_has_a_row():
    assert list(FAMILIES) == list(families.FAMILIES) == list(UNSUPPORTED)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", ["small", "large"])
def test_a_shape_and_a_config_say_the_same(family, size):
    shape = Shape.from_config(pico_config(family, size).to_dict())
    assert (shape.family, shape.positions) == (family, 16)
    assert Shape.from_config(config_of(shape).to_dict()) == shape


@pytest.mark.parametrize("family", FAMILIES)
def test_what_would_be_computed_otherwise_is_refused_by_name(family):
    ((key, value),) = UNSUPPORTED[family].items()
    with pytest.raises(ValueError, match=f"{key} is {value!r}; only .* is supported"):
        Shape.from_config(pico_config(family).to_dict() | {key: value})


OTHERS = {bool: lambda v: not v, str: lambda v: "other", float: lambda v: 0.5, int: lambda v: v + 3}
OTHERS |= {dict: lambda v: {"0": [1]}, list: lambda v: v[:1], type(None): lambda v: {"rope_type": "linear"}}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_option_with_one_supported_value_is_named_where_it_has_another(family):
    for key, usual in families.FAMILIES[family].fixed.items():
        with pytest.raises(ValueError, match=f"{key} is .*; only .* is supported"):
            Shape.from_config(pico_config(family).to_dict() | {key: OTHERS[type(usual)](usual)})


@pytest.mark.parametrize(
    ("family", "changes", "said"),
    [
        ("modernbert", {"layer_types": ["full_attention", "chunked_attention"]}, "layer_types is .*chunked_attention"),
        ("modernbert", {"rope_parameters": {"full_attention": {"rope_type": "yarn"}}}, "rope_parameters has .*yarn"),
        ("deberta-v2", {"pos_att_type": "c2p"}, "pos_att_type is"),
        ("deberta-v2", {"pooler_hidden_size": 4}, "pooler_hidden_size is 4; only that of hidden_size, 8"),
    ],
)
def test_what_new_families_cannot_compute_is_refused(family, changes, said):
    with pytest.raises(ValueError, match=said):
        Shape.from_config(pico_config(family).to_dict() | changes)


def test_older_configs_say_the_same_of_layers_as_newer_ones():
    newer = pico_config("modernbert", "large").to_dict()
    older = {key: value for key, value in newer.items() if key not in ("layer_types", "rope_parameters")}
    bases = {"global_attn_every_n_layers": 3, "global_rope_theta": 160000.0, "local_rope_theta": 10000.0}
    assert Shape.from_config(older | bases) == Shape.from_config(older) == Shape.from_config(newer)
    kinds = [Shape.from_config(newer).is_local(layer) for layer in range(5)]
    assert kinds == [False, True, True, False, True]


def test_another_family_is_refused_in_a_sentence_that_lists_all():
    with pytest.raises(ValueError, match="model_type is 'gpt2'; supported are bert, roberta, xlm-roberta, camembert"):
        Shape.from_config({"model_type": "gpt2"})


def test_only_their_files_ask_for_a_family_by_name():
    asks = re.compile(r"(family|model_type)\S* [!=]= [\"']")
    rest = [path for path in ROOT.rglob("*.py") if "families" not in path.parts]
    assert not [f"{path}: {line}" for path in rest for line in path.read_text().splitlines() if asks.search(line)]
