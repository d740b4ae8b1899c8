import itertools
import json
from pathlib import Path

import pytest
from transformers import AutoConfig

from graft.merging.homogeneous import configs
from tests.unit.merging.homogeneous import making

A, B = Path("a"), Path("b")
BERT = {"model_type": "bert", "layer_norm_eps": 1e-12, "hidden_act": "gelu", "num_attention_heads": 12}
# By key: what changes what a model computes, and another value of it.
COMPUTING = {
    "layer_norm_eps": 1e-5,
    "hidden_act": "relu",
    "num_attention_heads": 6,
    "position_embedding_type": "relative_key",
    "is_decoder": True,
    "add_cross_attention": True,
    "type_vocab_size": 1,
    "tie_word_embeddings": False,
    "max_position_embeddings": 256,
    "head_dim": 32,
    "a_new_familys_own": 3,
}
INERT = {
    "classifier_dropout": 0.3,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "use_cache": False,
    "initializer_range": 0.1,
    "transformers_version": "4.1.0",
    "_name_or_path": "somewhere",
    "torch_dtype": "float16",
    "pad_token_id": 3,
    "eos_token_id": 7,
    "temperature": 0.7,
    "gradient_checkpointing": True,
    "output_attentions": True,
}


def check(one, other):
    configs.check({A: one, B: other})


@pytest.mark.parametrize("key", COMPUTING)
def test_what_changes_the_computation_is_compared(key):
    with pytest.raises(ValueError, match=f"^b: {key} is .*, in a .*; must be one model's$"):
        check(BERT, BERT | {key: COMPUTING[key]})


@pytest.mark.parametrize("key", INERT)
def test_what_changes_nothing_is_not_compared(key):
    check(BERT, BERT | {key: INERT[key]})
    check(BERT | {key: INERT[key]}, BERT)


@pytest.mark.parametrize("key", ["layer_norm_eps", "hidden_act", "type_vocab_size", "is_decoder"])
def test_a_key_that_is_left_out_means_the_familys_default(key):
    whole = AutoConfig.for_model("bert").to_dict()
    check(whole, {name: value for name, value in whole.items() if name != key})
    with pytest.raises(ValueError, match=f"b: {key} is left out .which means .*, in a"):
        check(whole | {key: COMPUTING[key]}, {name: value for name, value in whole.items() if name != key})


def test_padding_counts_where_positions_are_counted_from_it():
    roberta = {"model_type": "roberta", "pad_token_id": 1}
    check(roberta, {"model_type": "roberta"})
    with pytest.raises(ValueError, match="b: pad_token_id is 0, in a 1"):
        check(roberta, roberta | {"pad_token_id": 0})
    with pytest.raises(ValueError, match="b: eos_token_id is 3, in a 2"):
        check({"model_type": "bart", "eos_token_id": 2}, {"model_type": "bart", "eos_token_id": 3})


LLAMA = {"model_type": "llama", "num_attention_heads": 8, "hidden_size": 64}


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ({"rope_theta": 1e4}, {}, True),
        ({"rope_theta": 10000}, {"rope_theta": 10000.0}, True),
        ({"rope_theta": 1e4}, {"rope_parameters": {"rope_theta": 1e4, "rope_type": "default"}}, True),
        ({"rope_theta": 5e5}, {"rope_parameters": {"rope_theta": 1e4, "rope_type": "default"}}, False),
        ({"rope_theta": 5e5}, {}, False),
        (
            {"rope_scaling": {"type": "linear", "factor": 2}},
            {"rope_scaling": {"rope_type": "linear", "factor": 2.0}},
            True,
        ),
        ({"rope_scaling": {"type": "linear", "factor": 2}}, {}, False),
        ({"num_key_value_heads": 8}, {}, True),
        ({"num_key_value_heads": None}, {"num_key_value_heads": 8}, True),
        ({"num_key_value_heads": 2}, {}, False),
        ({"head_dim": 8}, {}, True),
        ({"head_dim": 16}, {}, False),
    ],
)
def test_rotary_parameters_and_heads_are_compared_in_any_spelling(one, other, alike):
    for first, second in ((one, other), (other, one)):
        if alike:
            check(LLAMA | first, LLAMA | second)
        else:
            with pytest.raises(ValueError, match="must be one model's"):
                check(LLAMA | first, LLAMA | second)


CLASSIFIER = {"model_type": "bert", "architectures": ["BertForSequenceClassification"]}
LABELS = {"id2label": {"0": "no", "1": "yes"}, "label2id": {"no": 0, "yes": 1}}
KINDS = ("single_label_classification", "multi_label_classification", "regression")


@pytest.mark.parametrize(("one", "other"), list(itertools.permutations(KINDS, 2)))
def test_heads_of_two_kinds_are_refused(one, other):
    parts = {A: CLASSIFIER | {"problem_type": one}, B: CLASSIFIER | {"problem_type": other}}
    with pytest.raises(ValueError, match=f"^b: its head is for {other}, that of a {one}"):
        configs.check_heads(parts)


@pytest.mark.parametrize("kind", KINDS)
def test_a_head_whose_kind_is_not_written_down_holds_one_of_several_labels(kind):
    parts = {A: CLASSIFIER | {"problem_type": kind}, B: CLASSIFIER}
    if kind == "single_label_classification":
        configs.check_heads(parts)
    else:
        with pytest.raises(ValueError, match="b: its head is for single_label"):
            configs.check_heads(parts)


def test_a_score_of_no_known_kind_is_no_regression():
    one = CLASSIFIER | {"id2label": {"0": "LABEL_0"}}
    configs.check_heads({A: one, B: one})
    with pytest.raises(ValueError, match="b: its head is for one score .no problem_type"):
        configs.check_heads({A: one | {"problem_type": "regression"}, B: one})


def test_other_classes_are_refused():
    with pytest.raises(ValueError, match="b: its class is BertForTokenClassification, that of a BertForSequence"):
        configs.check_classes({A: CLASSIFIER, B: CLASSIFIER | {"architectures": ["BertForTokenClassification"]}})


def united(base, *tuned, same_head=True):
    """The same of all orders."""
    found = [json.dumps(configs.united(base, order, "float32", same_head)) for order in itertools.permutations(tuned)]
    assert len(set(found)) == 1
    return json.loads(found[0])


def test_what_any_part_says_is_kept_whatever_the_order():
    told = united({"vocab_size": 9}, CLASSIFIER, CLASSIFIER | LABELS, CLASSIFIER | {"problem_type": KINDS[1]})
    assert told == CLASSIFIER | LABELS | {"vocab_size": 9, "problem_type": KINDS[1]}


def test_inert_keys_that_differ_are_the_bases_or_nobodys():
    one, other = CLASSIFIER | {"classifier_dropout": 0.1}, CLASSIFIER | {"classifier_dropout": 0.2}
    assert united({"classifier_dropout": 0.3}, one, other)["classifier_dropout"] == 0.3
    assert "classifier_dropout" not in united({}, one, other) and "classifier_dropout" not in united(None, one, other)
    assert united({"classifier_dropout": 0.3}, one, CLASSIFIER)["classifier_dropout"] == 0.1


def test_the_head_is_the_models_unless_the_base_has_it_too():
    base = {"architectures": ["BertModel"], **LABELS}
    assert united(base, CLASSIFIER, same_head=False) == CLASSIFIER
    assert united(base, {"model_type": "bert"}, same_head=False) == {"model_type": "bert"}
    assert united(CLASSIFIER | LABELS, {"model_type": "bert"}) == CLASSIFIER | LABELS
    unnamed = CLASSIFIER | {"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}
    assert united(unnamed, CLASSIFIER | LABELS)["id2label"] == LABELS["id2label"]


def test_one_number_in_two_spellings_is_one():
    assert united(None, {"x": 1}, {"x": 1.0})["x"] == 1


def test_the_dtype_is_that_of_the_weights():
    assert united({"torch_dtype": "float16"}, {"dtype": "bfloat16"}) == {"dtype": "float32", "torch_dtype": "float32"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id2label": ["a", "b"]}, r"config.json: id2label \['a', 'b'\] must give a different label to each"),
        ({"id2label": {"one": "a"}}, "config.json: id2label .* must give a different label to each number from 0"),
        ({"id2label": {"1": "a", "2": "b"}}, "config.json: id2label .* must give a different label to each number"),
        ({"id2label": {"0": "a", "1": "a"}}, "config.json: id2label .* must give a different label to each number"),
        ({"router_aux_loss_coef": float("inf")}, "config.json: Out of range float values are not JSON compliant"),
        ({"foo": float("nan")}, "config.json: Out of range float values are not JSON compliant"),
        ({"quantization_config": {"quant_method": "gptq"}}, "its weights are quantised"),
    ],
)
def test_a_config_that_cannot_be_kept_is_told_in_one_sentence(changes, message, tmp_path):
    folder = making.write(tmp_path / "model", making.tensors(0))
    told = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps(told))
    with pytest.raises(ValueError, match=message) as error:
        configs.read(folder)
    assert "\n" not in str(error.value) and str(folder) in str(error.value)
