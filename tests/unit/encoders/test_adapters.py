import json
import shutil

import pytest
import torch
from peft import LoraConfig, PromptEncoderConfig, get_peft_model
from transformers import AutoModel, AutoModelForSequenceClassification

from graft.encoders import adapters
from graft.encoders.models import load_classifier
from graft.io import files
from tests.unit.families import write_pico

LABELS = 3


def adapted(base, out, family="bert", **changes):
    """Write an adapter of a base that changes something; returns the model that it makes."""
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=LABELS)
    named = ["query", "value"]
    if family == "distilbert":
        named, changes = ["q_lin", "v_lin"], {"modules_to_save": ["pre_classifier"], **changes}
    config = LoraConfig(**{"r": 2, "target_modules": named, "task_type": "SEQ_CLS", **changes})
    model = get_peft_model(model, config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name or "modules_to_save" in name:
                parameter.normal_()
    model.save_pretrained(out)
    return model.eval()


@pytest.fixture
def base(tmp_path):
    write_pico(tmp_path / "base", "bert")
    return tmp_path / "base"


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_an_adapter_is_merged_into_its_base(family, tmp_path):
    write_pico(tmp_path / "base", family)
    model = adapted(tmp_path / "base", tmp_path / "adapter", family)
    found = adapters.local(tmp_path / "adapter", "--large", tmp_path)
    ids = torch.randint(5, 20, (2, 7), generator=torch.Generator().manual_seed(1))
    expected = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    merged = AutoModelForSequenceClassification.from_pretrained(found).eval()
    assert torch.allclose(merged(input_ids=ids).logits, expected, atol=1e-5)
    plain = AutoModel.from_pretrained(tmp_path / "base").state_dict()
    assert any(not torch.equal(plain[name], tensor) for name, tensor in merged.base_model.state_dict().items())
    assert load_classifier(found).config.num_labels == LABELS
    assert adapters.named(found) == f"{tmp_path / 'base'} + {tmp_path / 'adapter'}"
    assert (found / "tokenizer.json").read_bytes() == (tmp_path / "base" / "tokenizer.json").read_bytes()


def test_an_adapter_of_an_encoder_has_no_head(base, tmp_path):
    config = LoraConfig(r=2, target_modules=["query"], task_type="FEATURE_EXTRACTION", init_lora_weights=False)
    get_peft_model(AutoModel.from_pretrained(base), config).save_pretrained(tmp_path / "adapter")
    found = adapters.local(tmp_path / "adapter", "--large", tmp_path)
    before, after = (AutoModel.from_pretrained(folder).state_dict() for folder in (base, found))
    changed = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert changed and all(name.endswith("query.weight") for name in changed)


def test_a_model_is_what_it_is(base, tmp_path):
    assert adapters.local(base, "--large", tmp_path) == base
    assert adapters.named(base) == str(base)


def test_a_base_that_moved_with_its_adapter_is_found(base, tmp_path):
    adapted(base, tmp_path / "adapter")
    (tmp_path / "elsewhere").mkdir()
    for name in ("base", "adapter"):
        shutil.move(tmp_path / name, tmp_path / "elsewhere" / name)
    found = adapters.local(tmp_path / "elsewhere" / "adapter", "--large", tmp_path)
    assert load_classifier(found).config.num_labels == LABELS


def without_base(adapter):
    config = files.read_json(adapter / "adapter_config.json")
    (adapter / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": None}))


def without_head(adapter):
    from safetensors.torch import load_file, save_file

    kept = {name: t for name, t in load_file(adapter / "adapter_model.safetensors").items() if "lora" in name}
    save_file(kept, adapter / "adapter_model.safetensors")


def of_prompts(adapter):
    config = PromptEncoderConfig(num_virtual_tokens=2, encoder_hidden_size=4, task_type="SEQ_CLS")
    shutil.rmtree(adapter)
    get_peft_model(AutoModelForSequenceClassification.from_pretrained(adapter.parent / "base"), config).save_pretrained(
        adapter
    )


def without_pooler(adapter):
    """A base model whose pooler transformers draws at random, and an adapter that does not bring one."""
    AutoModel.from_pretrained(adapter.parent / "base", add_pooling_layer=False).save_pretrained(adapter.parent / "base")


WRONG = {
    "no pooler": (without_pooler, "is an adapter without bert.pooler.dense.bias, which its base model lacks too"),
    "no base": (without_base, "names no base model; merge it yourself"),
    "a base that is gone": (lambda a: shutil.rmtree(a.parent / "base"), "which is not here; put it beside the adapter"),
    "no head": (without_head, "is an adapter for classification without a head; give a model"),
    "no weights": (lambda a: (a / "adapter_model.safetensors").unlink(), "adapter_model.safetensors is missing; save"),
    "prompts": (of_prompts, "is an adapter of kind P_TUNING, which changes no weights; give a model"),
}


@pytest.mark.parametrize("what", WRONG)
def test_an_adapter_that_makes_no_model_is_refused_in_one_sentence(what, base, tmp_path):
    adapted(base, tmp_path / "adapter")
    change, message = WRONG[what]
    change(tmp_path / "adapter")
    with pytest.raises(ValueError, match=message) as error:
        adapters.local(tmp_path / "adapter", "--large", tmp_path)
    assert str(error.value).startswith("--large: ") and "\n" not in str(error.value)
