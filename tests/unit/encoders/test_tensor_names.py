import subprocess
import sys

import pytest

from graft.encoders import tensor_names

LAYER = "encoder.layer.0.output.LayerNorm"


@pytest.mark.parametrize(
    ("name", "model_type", "expected"),
    [
        (f"bert.{LAYER}.gamma", "bert", f"{LAYER}.weight"),
        (f"{LAYER}.beta", "bert", f"{LAYER}.bias"),
        (f"roberta.{LAYER}.weight", "xlm-roberta", f"{LAYER}.weight"),
        ("deberta.embeddings.LayerNorm.bias", "deberta-v2", "embeddings.LayerNorm.bias"),
        ("distilbert.transformer.layer.0.ffn.lin1.bias", "distilbert", "transformer.layer.0.ffn.lin1.bias"),
        ("transformer.layer.0.ffn.lin1.bias", "distilbert", "transformer.layer.0.ffn.lin1.bias"),
        ("model.layers.0.attn.Wo.weight", "modernbert", "layers.0.attn.Wo.weight"),
        ("classifier.weight", "bert", "classifier.weight"),
        ("bert.pooler.dense.bias", "roberta", "bert.pooler.dense.bias"),
        ("some_new.encoder.weight", "some-new", "encoder.weight"),
    ],
)
def test_a_tensor_has_one_name_whatever_class_saved_it(name, model_type, expected):
    assert tensor_names.canonical(name, model_type) == expected


def test_body_heads_and_buffers_are_distinguished_with_and_without_a_prefix():
    body = ["embeddings.word_embeddings.weight", f"{LAYER}.gamma", "pooler.dense.bias"]
    heads = ["cls.predictions.bias", "fit_denses.0.weight", "classifier.weight"]
    buffers = ["embeddings.position_ids"]
    plain = tensor_names.of([*body, *heads, *buffers])
    under = tensor_names.of([*(f"bert.{name}" for name in (*body, *buffers)), *heads])
    for found, before in ((plain, ""), (under, "bert.")):
        assert found.body == {tensor_names.canonical(name): before + name for name in body}
        assert found.heads == {name: name for name in heads}
        assert found.buffers == {name: before + name for name in buffers}
    assert list(under.body) == list(plain.body)


def test_in_a_checkpoint_with_a_prefix_all_else_is_a_head_whatever_it_is_called():
    assert set(tensor_names.of(["bert.pooler.dense.bias", "my_own_layer.weight"]).heads) == {"my_own_layer.weight"}
    assert set(tensor_names.of(["pooler.dense.bias", "my_own_layer.weight"]).heads) == set()


def test_two_names_of_one_tensor_are_an_error():
    with pytest.raises(ValueError, match="^bert.pooler.dense.bias is the same tensor as pooler.dense.bias; remove one"):
        tensor_names.of(["pooler.dense.bias", "bert.pooler.dense.bias"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("embeddings.position_ids", True),
        ("position_ids", True),
        ("layers.0.self_attn.rotary_emb.inv_freq", True),
        ("embeddings.position_embeddings.weight", False),
        ("encoder.layer.0.attention.self.query.bias", False),
    ],
)
def test_buffers_are_known_by_name(name, expected):
    assert tensor_names.is_buffer(name) is expected


def test_prefixes_are_those_of_transformers():
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_MAPPING

    types = (*tensor_names.PREFIXES, "bert", "roberta", "distilbert", "electra", "deberta", "mpnet", "albert")
    for model_type in types:
        model = MODEL_MAPPING[type(AutoConfig.for_model(model_type))]
        model = model[0] if isinstance(model, tuple) else model
        assert tensor_names.prefix(model_type) == f"{model.base_model_prefix}.", model_type


def test_the_module_imports_no_torch():
    code = "import sys, graft.encoders.tensor_names; assert not {'torch', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
