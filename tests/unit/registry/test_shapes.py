import json

import pytest
from transformers import BertConfig

from graft.registry.families.family import FIXED
from graft.registry.shapes import Shape

CONFIG = BertConfig(num_hidden_layers=2, hidden_size=12, num_attention_heads=3, intermediate_size=20).to_dict()


def test_the_shape_is_that_of_the_model():
    shape = Shape.from_config(CONFIG)
    assert (shape.layers, shape.width, shape.heads, shape.ffn) == (2, 12, 3, 20)
    assert (shape.vocabulary, shape.positions, shape.types) == (30522, 512, 2)


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_act": "gelu_new"},
        {"position_embedding_type": "relative_key"},
        {"is_decoder": True},
        {"add_cross_attention": True},
        {"pruned_heads": {"0": [1]}},
    ],
)
def test_what_would_be_computed_otherwise_is_refused(changes):
    (key,) = changes
    assert key in FIXED
    with pytest.raises(ValueError, match=f"{key} is .*; only .* is supported"):
        Shape.from_config(CONFIG | changes)


@pytest.mark.parametrize("value", [None, "12", 12.5])
def test_a_number_that_is_missing_is_named(value):
    with pytest.raises(ValueError, match="hidden_size is missing or not a number"):
        Shape.from_config(CONFIG | {"hidden_size": value})


def test_heads_must_share_out_the_width():
    with pytest.raises(ValueError, match="hidden_size 12 is not divisible by num_attention_heads 5"):
        Shape.from_config(CONFIG | {"num_attention_heads": 5})


def test_the_folder_is_named(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | {"model_type": "albert"}))
    with pytest.raises(ValueError, match=f"{tmp_path}: model_type is 'albert'; supported are bert"):
        Shape.of(tmp_path)
