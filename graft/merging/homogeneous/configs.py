"""Compare the configs of models of one shape, and build the merged model's config."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from graft.io import model_folders
from graft.merging.homogeneous import defaults

# Keys of a classifier's head: taken from the fine-tuned models, whatever the base has.
LABELS = ("id2label", "label2id", "problem_type")
HEAD = (*LABELS, "architectures", "num_labels", "finetuning_task", "task_specific_params")
# Keys that do not change what a model computes from a text: notes, training, memory and generation. Any other key is
# assumed to.
NOTES = ("transformers_version", "model_name", "auto_map", "custom_pipelines", "language", "license", "directionality")
TRAINING = (
    *("initializer_range", "initializer_factor", "initializer_cutoff_factor", "gradient_checkpointing", "layerdrop"),
    *("router_aux_loss_coef", "sparse_prediction", "sparse_pred_ignore_index", "mask_time_prob"),
)
RUNNING = (
    *("torch_dtype", "dtype", "use_cache", "output_attentions", "output_hidden_states", "output_past", "return_dict"),
    *("torchscript", "use_bfloat16", "attn_implementation", "chunk_size_feed_forward", "low_cpu_mem_usage"),
    *("reference_compile", "deterministic_flash_attn", "pretraining_tp", "repad_logits_with_grad"),
)
GENERATION = (
    *("max_length", "min_length", "max_new_tokens", "do_sample", "early_stopping", "num_beams", "num_beam_groups"),
    *("diversity_penalty", "temperature", "top_k", "top_p", "typical_p", "repetition_penalty", "length_penalty"),
    *("no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "bad_words_ids", "num_return_sequences"),
    *("output_scores", "return_dict_in_generate", "forced_bos_token_id", "forced_eos_token_id", "suppress_tokens"),
    *("begin_suppress_tokens", "remove_invalid_values", "exponential_decay_length_penalty", "prefix", "cross_attn"),
    *("bos_token_id", "decoder_start_token_id", "cls_token_id", "mask_token_id", "unk_token_id"),
)
INERT = frozenset((*HEAD, *NOTES, *TRAINING, *RUNNING, *GENERATION))
_INERT = re.compile(r"^_|drop")
# Some families compute with special token ids: they count positions from the padding id, or look for the end of a text.
# The others only look up the token's vector, which is among the weights.
BLIND_TO_PADDING = (
    *("bert", "distilbert", "electra", "albert", "deberta", "deberta-v2", "mobilebert", "convbert", "megatron-bert"),
    *("squeezebert", "ernie", "nystromformer", "roformer", "rembert", "funnel", "layoutlm", "big_bird"),
)
FINDS: dict[str, tuple[str, ...]] = {"sep_token_id": ("longformer", "big_bird")}
FINDS |= {"eos_token_id": ("bart", "mbart", "plbart", "mvp", "led", "bigbird_pegasus", "t5", "mt5", "umt5")}
# A head's kind if the config does not state one: one label out of several.
SINGLE = "single_label_classification"


def read(folder: Path) -> dict[str, Any]:
    """Read a model folder's config; raises ValueError for any other folder and for values that JSON does not allow."""
    config = model_folders.open_folder(folder).config
    try:
        json.dumps(config, allow_nan=False)
        model_folders.label_names(config)
    except ValueError as error:
        raise ValueError(f"{folder / 'config.json'}: {error}") from None
    return config


def model_type(configs: Iterable[Mapping[str, Any]]) -> str:
    """The family that these configs share, or "bert" if none names one."""
    return next((str(config["model_type"]) for config in configs if config.get("model_type")), "bert")


def ties(configs: Iterable[Mapping[str, Any]], family: str) -> bool:
    """Whether all configs tie input and output word embeddings; a key left out means the family's default."""
    default = defaults.of_family(family).get("tie_word_embeddings", True)
    return all(config.get("tie_word_embeddings", default) for config in configs)


def check(configs: Mapping[Path, Mapping[str, Any]]) -> None:
    """Raise ValueError unless all models compute the same.

    Every key that is not known to be inert must have one value; a key left out means the family's default.
    """
    family = model_type(configs.values())
    (first, ours), *others = ((folder, _computing(config, family)) for folder, config in configs.items())
    for folder, theirs in others:
        for key in sorted({*ours, *theirs}):
            one, other = (_meant(config, key, family) for config in (ours, theirs))
            if one != other:
                here, there = (_told(config, key, family) for config in (theirs, ours))
                raise ValueError(f"{folder}: {key} is {here}, in {first} {there}; must be one model's")


def check_classes(configs: Mapping[Path, Mapping[str, Any]]) -> None:
    """Raise ValueError unless all models whose config names a class name the same one."""
    found = {
        folder: tuple(config["architectures"]) for folder, config in configs.items() if config.get("architectures")
    }
    _check_same(found, "its class is")


def check_heads(configs: Mapping[Path, Mapping[str, Any]]) -> None:
    """Raise ValueError unless all heads are of one kind and have the same labels in the same order."""
    known = {folder: labels for folder, config in configs.items() if (labels := _labels(config))}
    _check_same(known, "its head has the labels")
    _check_same({folder: kind for folder, config in configs.items() if (kind := _kind(config))}, "its head is for")


def headless(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config without the keys of a head."""
    return {key: value for key, value in config.items() if key not in HEAD}


def united(
    base: Mapping[str, Any] | None, tuned: Sequence[Mapping[str, Any]], dtype: str, same_head: bool
) -> dict[str, Any]:
    """Build the merged model's config from configs that passed `check`; their order does not matter.

    A key takes the value on which all models that have it agree, else the base's; inert keys that differ are left out.
    The head's keys come from the models, or from the base if it has the same head (`same_head`) and the models lack
    them. `dtype` is that of the merged weights.
    """
    found: dict[str, Any] = {}
    for key in sorted({key for config in (*tuned, base or {}) for key in config}):
        if key in ("id2label", "label2id") or key.startswith("_"):
            continue
        before = base if base is not None and (same_head or key not in HEAD) else {}
        given = [config[key] for config in tuned if config.get(key) is not None]
        texts = sorted(json.dumps(value, sort_keys=True) for value in given)
        if texts and len({json.dumps(_plain(value), sort_keys=True) for value in given}) == 1:
            found[key] = json.loads(texts[0])
        elif before.get(key) is not None or (not given and key in before):
            found[key] = before[key]
        elif not given and any(key in config for config in tuned):
            found[key] = None
    if labels := _united_labels([*tuned, *([base] if base is not None and same_head else [])]):
        found["id2label"] = {str(number): name for number, name in enumerate(labels)}
        found["label2id"] = {name: number for number, name in enumerate(labels)}
    for key in ("dtype", "torch_dtype"):
        if any(key in config for config in (*tuned, base or {})):
            found[key] = dtype
    return found


def _united_labels(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The first label names that a config gives, else the longest list of placeholder names."""
    return next(filter(None, map(_labels, configs)), []) or max(
        map(model_folders.label_names, configs), key=len, default=[]
    )


def _computing(config: Mapping[str, Any], family: str) -> dict[str, Any]:
    """The keys of a config that change what its model computes, in normal form."""
    kept = {key: value for key, value in config.items() if key not in INERT and not _INERT.search(key)}
    if family in BLIND_TO_PADDING:
        kept.pop("pad_token_id", None)
    for key in ("eos_token_id", "sep_token_id"):
        if family not in FINDS[key]:
            kept.pop(key, None)
    rope = kept.pop("rope_parameters", None)
    if isinstance(rope, dict) and all(not isinstance(value, dict) for value in rope.values()):
        kept |= {"rope_theta": rope["rope_theta"]} if "rope_theta" in rope else {}
        kept["rope_scaling"] = {key: value for key, value in rope.items() if key != "rope_theta"}
    elif rope is not None:
        kept["rope_parameters"] = rope
    scaling = kept.get("rope_scaling")
    if isinstance(scaling, dict):
        scaling = {("rope_type" if key == "type" else key): value for key, value in scaling.items()}
        kept["rope_scaling"] = None if scaling.get("rope_type", "default") == "default" else scaling
    if isinstance(kept.get("sentence_transformers"), dict):
        noted = {key: value for key, value in kept["sentence_transformers"].items() if key != "version"}
        kept["sentence_transformers"] = noted
    heads = kept.get("num_attention_heads")
    if heads and "num_key_value_heads" in kept and kept["num_key_value_heads"] is None:
        kept["num_key_value_heads"] = heads
    return kept


def _meant(config: Mapping[str, Any], key: str, family: str) -> Any:
    """A key's value, or the default if it is absent; any value that means "off" (None, false, empty) becomes None."""
    if key in config:
        value = config[key]
    elif key == "model_type":
        value = family
    elif key == "num_key_value_heads":
        value = config.get("num_attention_heads")
    elif key == "head_dim" and config.get("hidden_size") and config.get("num_attention_heads"):
        value = config["hidden_size"] // config["num_attention_heads"]
    else:
        value = defaults.of_family(family).get(key)
    return _plain(value) or None


def _plain(value: Any) -> Any:
    """A JSON value with its integers as floats, so that 1 and 1.0 compare as equal text."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _told(config: Mapping[str, Any], key: str, family: str) -> str:
    if key in config:
        return repr(config[key])
    default = defaults.of_family(family).get(key)
    return "left out" if default is None else f"left out (which means {default!r})"


def _check_same(found: Mapping[Path, Any], what: str) -> None:
    for folder, value in found.items():
        first, wanted = next(iter(found.items()))
        if value != wanted:
            one, other = (
                one_value if isinstance(one_value, str) else ", ".join(map(str, one_value))
                for one_value in (value, wanted)
            )
            raise ValueError(f"{folder}: {what} {one}, that of {first} {other}; must be the same")


def _kind(config: Mapping[str, Any]) -> str | None:
    """A classifier's problem type: stated, or inferred from the number of labels; None if neither is possible."""
    given = config.get("problem_type")
    if given is None and "ForSequenceClassification" in str(config.get("architectures")):
        count = len(model_folders.label_names(config)) or config.get("num_labels") or 2
        return SINGLE if count > 1 else "one score (no problem_type is written down)"
    return given


def _labels(config: Mapping[str, Any]) -> list[str]:
    """A classifier's labels in the order of their ids; empty if the config names none."""
    labels = model_folders.label_names(config)
    # transformers names unnamed labels this way.
    return [] if labels == [f"LABEL_{i}" for i in range(len(labels))] else labels
