import itertools
import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import BertWordPieceTokenizer

from graft.merging.homogeneous import companions
from graft.merging.homogeneous.folders import Order, merge
from graft.registry import methods
from tests.unit.merging.homogeneous import making

MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"},
    {"idx": 3, "name": "3", "path": "3_Normalize", "type": "sentence_transformers.models.Normalize"},
]
POOLING = {"word_embedding_dimension": 6, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
DENSE = {"in_features": 6, "out_features": 2, "bias": True, "activation_function": "torch.nn.modules.activation.Tanh"}
SETTINGS = {"__version__": {"sentence_transformers": "2.0.0"}, "prompts": {"query": "find: "}}


def write_json(file, value):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value))


def embedding(folder):
    """Make a model folder one of sentence-transformers."""
    write_json(folder / "modules.json", MODULES)
    write_json(folder / "1_Pooling" / "config.json", POOLING)
    write_json(folder / "2_Dense" / "config.json", DENSE)
    save_file({"linear.weight": np.ones((2, 6), np.float32)}, folder / "2_Dense" / "model.safetensors")
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 128, "do_lower_case": False})
    write_json(folder / "config_sentence_transformers.json", SETTINGS)


@pytest.fixture
def world(tmp_path):
    """A base and three models, without anything beside weights and config."""
    base = making.tensors(0)
    making.write(tmp_path / "base", base)
    for i in (1, 2, 3):
        making.write(tmp_path / f"m{i}", making.tensors(i, 0.1, base))
    for name in ("base", "m1", "m2", "m3"):
        for file in ("tokenizer.json", "vocab.txt"):
            (tmp_path / name / file).unlink()
    return tmp_path


def merged(world, models=("m1", "m2", "m3"), base="base", out="out", method="linear", **changes):
    base = base and world / base
    merge(Order(method, tuple(world / m for m in models), world / out, base, **changes), making.quiet)
    return world / out


def contents(folder):
    """All files by name, but those that list what was merged."""
    listed = ("README.md", "graft.json")
    found = (file for file in folder.rglob("*") if file.is_file() and file.name not in listed)
    return {str(file.relative_to(folder)): file.read_bytes() for file in found}


def edit(file, **changes):
    write_json(file, json.loads(file.read_text()) | changes)


def test_what_sentence_transformers_needs_goes_along(world):
    for name in ("m1", "m2", "m3"):
        embedding(world / name)
    out = merged(world)
    assert json.loads((out / "modules.json").read_text()) == MODULES
    assert json.loads((out / "1_Pooling" / "config.json").read_text()) == POOLING
    assert json.loads((out / "config_sentence_transformers.json").read_text())["prompts"] == {"query": "find: "}
    assert json.loads((out / "sentence_bert_config.json").read_text())["max_seq_length"] == 128
    for file in ("config.json", "model.safetensors"):
        assert (out / "2_Dense" / file).is_file()
    dense = (world / "m1" / "2_Dense" / "model.safetensors").read_bytes()
    assert (out / "2_Dense" / "model.safetensors").read_bytes() == dense
    assert "library_name: sentence-transformers" in (out / "README.md").read_text()


def test_what_any_part_has_goes_along(world):
    embedding(world / "m2")
    assert (merged(world) / "1_Pooling" / "config.json").is_file()
    shutil.rmtree(world / "out")
    embedding(world / "base")
    (world / "m2" / "modules.json").unlink()
    assert (merged(world) / "1_Pooling" / "config.json").is_file()


def test_modules_of_a_base_are_not_those_of_models_under_a_head(world):
    embedding(world / "base")
    values = making.read(world / "base")
    del values["classifier.weight"]
    save_file(values, world / "base" / "model.safetensors")
    assert not (merged(world) / "modules.json").exists()


WRONG = {
    "CLS and mean pooling": (
        lambda f: edit(f / "1_Pooling" / "config.json", pooling_mode_cls_token=True, pooling_mode_mean_tokens=False),
        "1_Pooling/config.json: pooling_mode_cls_token is true, in .*1_Pooling/config.json null; must be the same",
    ),
    "prompts left out of pooling": (
        lambda f: edit(f / "1_Pooling" / "config.json", include_prompt=False),
        "include_prompt is null, in .* true",
    ),
    "another activation": (
        lambda f: edit(f / "2_Dense" / "config.json", activation_function="torch.nn.modules.linear.Identity"),
        "activation_function is .*Identity",
    ),
    "other weights of a module": (
        lambda f: save_file({"linear.weight": np.zeros((2, 6), np.float32)}, f / "2_Dense" / "model.safetensors"),
        "2_Dense: Dense has its own weights, which differ from those of .* and are not merged",
    ),
    "weights of a module missing": (
        lambda f: (f / "2_Dense" / "model.safetensors").unlink(),
        "2_Dense: Dense has its own weights",
    ),
    "fewer modules": (
        lambda f: write_json(f / "modules.json", MODULES[:2]),
        "modules.json: its modules are Transformer > Pooling 1_Pooling, those of .* Transformer > Pooling",
    ),
    "another prompt": (
        lambda f: edit(f / "config_sentence_transformers.json", prompts={"query": "seek: "}),
        'transformers.json: prompts is {"query": "seek: "}, in .* {"query": "find: "}; must be the same',
    ),
    "another length": (
        lambda f: edit(f / "sentence_bert_config.json", max_seq_length=64),
        "max_seq_length is 64, in .* 128",
    ),
    "lower case": (
        lambda f: edit(f / "sentence_bert_config.json", do_lower_case=True),
        "do_lower_case is true, in .* false",
    ),
    "a path outside": (
        lambda f: write_json(f / "modules.json", [MODULES[0], MODULES[1] | {"path": "../m1/1_Pooling"}]),
        "path '../m1/1_Pooling' must be a folder in this one",
    ),
    "custom code": (
        lambda f: write_json(f / "modules.json", [MODULES[0] | {"type": "custom_st.Transformer"}]),
        "custom_st.Transformer is custom code",
    ),
    "nothing where modules are": (lambda f: write_json(f / "modules.json", {}), "modules.json: not a list of modules"),
    "no list of modules": (lambda f: write_json(f / "modules.json", {"a": 1}), "modules.json: not a list of modules"),
    "no settings": (
        lambda f: (f / "sentence_bert_config.json").write_text("["),
        "sentence_bert_config.json: not valid JSON",
    ),
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("base", [False, True])
def test_modules_that_differ_are_refused_in_one_sentence(what, base, world):
    models = ("base", "m1") if base else ("m1", "m2")
    for name in models:
        embedding(world / name)
    change, message = WRONG[what]
    change(world / models[1])
    with pytest.raises(ValueError, match=message) as error:
        merged(world)
    assert "\n" not in str(error.value) and not (world / "out").exists()


def test_pooling_is_compared_in_the_words_of_any_version(world):
    for name in ("m1", "m2"):
        embedding(world / name)
    new = [module | {"type": f"sentence_transformers.base.{module['type'].rsplit('.')[-1]}"} for module in MODULES]
    write_json(world / "m2" / "modules.json", new)
    write_json(world / "m2" / "1_Pooling" / "config.json", {"embedding_dimension": 6, "pooling_mode": "mean"})
    merged(world)
    write_json(world / "m2" / "1_Pooling" / "config.json", {"embedding_dimension": 6, "pooling_mode": "cls"})
    with pytest.raises(ValueError, match="pooling_mode_cls_token is true"):
        merged(world, out="other")


def tokenizer(folder, length=64, words=("a", "b")):
    vocabulary = [*making.SPECIAL, *words]
    BertWordPieceTokenizer({word: i for i, word in enumerate(vocabulary)}).save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", {"model_max_length": length})
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")


def test_the_models_tokenizer_goes_along_where_the_base_has_none(world):
    tokenizer(world / "m2")
    out = merged(world)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        assert (out / name).read_bytes() == (world / "m2" / name).read_bytes()


def test_a_tokenizer_is_of_one_folder_the_bases_where_that_is_as_whole(world):
    tokenizer(world / "base")
    edit(world / "base" / "tokenizer_config.json", name_or_path="base")
    tokenizer(world / "m1")
    out = merged(world)
    assert json.loads((out / "tokenizer_config.json").read_text())["name_or_path"] == "base"
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (world / "base" / name).unlink()
    out = merged(world, out="other")
    assert json.loads((out / "tokenizer_config.json").read_text())["model_max_length"] == 64


def test_models_whose_tokenizers_differ_are_refused_though_the_base_has_none(world):
    tokenizer(world / "m1")
    tokenizer(world / "m3", words=("b", "a"))
    with pytest.raises(ValueError, match="m3: its tokenizer differs from that of .*m1"):
        merged(world)


def test_settings_of_generation_are_the_models_and_must_agree(world):
    for name, value in (("base", 9), ("m1", 5), ("m2", 5)):
        write_json(world / name / "generation_config.json", {"top_k": value, "transformers_version": name})
    assert json.loads((merged(world) / "generation_config.json").read_text())["top_k"] == 5
    write_json(world / "m3" / "generation_config.json", {"top_k": 7})
    with pytest.raises(ValueError, match=r"m3/generation_config.json: top_k is 7, in .*m1/generation_config.json 5"):
        merged(world, out="other")


def varied(world):
    """Models that differ in all that need not be alike."""
    embedding(world / "m2")
    edit(world / "m2" / "config_sentence_transformers.json", __version__={"sentence_transformers": "3.1.0"})
    embedding(world / "m3")
    tokenizer(world / "m1", 128)
    tokenizer(world / "m3", 128)
    edit(world / "m3" / "tokenizer_config.json", name_or_path="elsewhere")
    write_json(world / "m1" / "generation_config.json", {"transformers_version": "4.0"})
    write_json(world / "m2" / "generation_config.json", {"transformers_version": "5.0", "top_k": 3})
    edit(world / "base" / "config.json", x=1)
    edit(world / "m1" / "config.json", id2label={"0": "LABEL_0", "1": "LABEL_1"}, layer_norm_eps=1e-12, x=1)
    edit(world / "m2" / "config.json", transformers_version="4", x=1.0, torch_dtype="float16")
    edit(world / "m3" / "config.json", transformers_version="5", x=1, problem_type="single_label_classification")
    ids = {"m1": np.int32, "m2": np.int64, "m3": np.int16}
    for name, dtype in ids.items():
        values = making.read(world / name)
        values["position_ids"] = values["position_ids"].astype(dtype)
        if name != "m1":
            values["layer.bias"] = values["layer.bias"].astype(np.float16)
        save_file(values, world / name / "model.safetensors")


METHODS = [name for name, facts in methods.table(methods.ONE_SHAPE).items() if name != "slerp" and not facts.statistics]


@pytest.mark.parametrize(
    ("method", "base"), [(name, "base") for name in METHODS] + [("linear", None), ("uniform", None)]
)
def test_the_order_of_models_changes_no_byte(method, base, world):
    varied(world)
    found = [
        contents(merged(world, order, base, f"out{number}", method))
        for number, order in enumerate(itertools.permutations(("m1", "m2", "m3")))
    ]
    assert all(one == found[0] for one in found)
    config = json.loads(found[0]["config.json"])
    assert config["id2label"] == {"0": "no", "1": "yes"} and config["problem_type"] == "single_label_classification"
    assert {"modules.json", "1_Pooling/config.json", "tokenizer.json", "generation_config.json"} <= set(found[0])


def test_all_that_a_tokenizer_is_saved_as_is_known():
    from transformers.tokenization_utils_base import ADDED_TOKENS_FILE, CHAT_TEMPLATE_FILE, SPECIAL_TOKENS_MAP_FILE

    assert {ADDED_TOKENS_FILE, CHAT_TEMPLATE_FILE, SPECIAL_TOKENS_MAP_FILE} <= set(companions.TOKENIZER)


def test_models_say_how_texts_are_cut_and_must_agree(world):
    for name, length in (("base", 512), ("m1", 128), ("m2", 128), ("m3", 10**30)):
        BertWordPieceTokenizer({word: i for i, word in enumerate((*making.SPECIAL, "a"))}).save(
            str(world / name / "tokenizer.json")
        )
        write_json(world / name / "tokenizer_config.json", {"model_max_length": length})
    out = merged(world)
    assert json.loads((out / "tokenizer_config.json").read_text())["model_max_length"] == 128
    edit(world / "m3" / "tokenizer_config.json", model_max_length=256)
    with pytest.raises(ValueError, match="m3.tokenizer_config.json: model_max_length is 256, in .*m1.* 128; must be"):
        merged(world, out="again")
    edit(world / "m3" / "tokenizer_config.json", model_max_length=128, padding_side="left")
    edit(world / "m1" / "tokenizer_config.json", padding_side="right")
    with pytest.raises(ValueError, match='padding_side is "left"'):
        merged(world, out="again")
