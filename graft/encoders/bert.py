"""Load encoders and classifiers from Hugging Face folders, always in float32 and never from the hub."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers.utils import logging

from graft.encoders.local_models import PROJECTION
from graft.encoders.tensor_names import is_buffer
from graft.encoders.transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    PreTrainedModel,
    no_init_weights,
)
from graft.io.model_folders import read_config
from graft.registry.shapes import Shape

Loaded = TypeVar("Loaded", bound=PreTrainedModel)
# On a CPU plain matrix products are faster than torch's fused attention (benchmarks/attention.py).
ATTENTION_ON = {"cpu": "eager", "cuda": "sdpa"}
ATTENTION = ATTENTION_ON["cuda" if torch.cuda.is_available() else "cpu"]
# Progress bars for files that load in an instant would fill logs, and precede a one-line error.
logging.disable_progress_bar()


def load_encoder(folder: str | Path) -> BertModel:
    """Load the encoder (embeddings, layers, pooler) saved in `folder`, in float32 and eval mode.

    Raises ValueError if a tensor is missing or its shape differs from `config.json`.
    """
    return _load(BertModel, folder)


def bert_config(shape: Shape) -> BertConfig:
    """Return the config of a BERT of this shape."""
    return BertConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.ffn,
        max_position_embeddings=shape.positions,
        type_vocab_size=shape.types,
        attn_implementation=ATTENTION,
    )


def encoder_of(body: Mapping[str, Tensor], shape: Shape) -> BertModel:
    """Build an encoder of a body's own tensors, not copies, in eval mode, on the body's device and in its dtype."""
    example = next(iter(body.values()))
    with example.device, no_init_weights():
        model = BertModel(bert_config(shape)).to(example.dtype)
    model.load_state_dict(body, assign=True)
    return model.eval()


def projections_of(folder: str | Path) -> tuple[Tensor, ...]:
    """Load the weights [w_L, w_S] with which a distillation compared hidden states; empty if the folder has none.

    One for all states, or one for the embeddings and one for each layer, in that order.
    """
    path = Path(folder) / PROJECTION
    found = load_file(path) if path.is_file() else {}
    if "weight" in found:
        return (found["weight"],)
    return tuple(found[f"{i}.weight"] for i in range(len(found) // 2))


def load_classifier(folder: str | Path) -> BertForSequenceClassification:
    """Load the fine-tuned or merged classifier saved in `folder`, in float32 and eval mode.

    Raises ValueError if it is no classifier, a tensor is missing, or a tensor's shape differs from `config.json`.
    """
    return _load(BertForSequenceClassification, folder)


def new_classifier(folder: str | Path, labels: tuple[str, ...] | None, seed: int) -> BertForSequenceClassification:
    """Load the encoder in `folder` with a new classification head (one regression output if `labels` is None).

    The head's weights are drawn from N(0, initializer_range^2) with a separate generator, so that they depend only on
    `seed`; nothing is drawn from torch's global one.
    """
    config = BertConfig.from_pretrained(folder, local_files_only=True)
    set_labels(config, labels)
    config._attn_implementation = ATTENTION
    with no_init_weights():
        model = BertForSequenceClassification(config)
    model.bert.load_state_dict(load_encoder(folder).state_dict())
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        model.classifier.weight.normal_(0.0, config.initializer_range, generator=generator)
        model.classifier.bias.zero_()
    return model


def _load(kind: type[Loaded], folder: str | Path) -> Loaded:
    verbosity = logging.get_verbosity()
    # Silence transformers' warnings: the same problems are raised below as one-line errors.
    logging.set_verbosity_error()
    try:
        # Nothing is drawn for weights that are then loaded, and torch's compiler, which draws, is not imported.
        with no_init_weights():
            model, info = kind.from_pretrained(
                folder,
                dtype=torch.float32,
                attn_implementation=ATTENTION,
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
            )
    finally:
        logging.set_verbosity(verbosity)
    if kind is BertForSequenceClassification:
        # A loaded model's config names the class it was loaded as, so read the saved class from the file.
        made = ", ".join(read_config(Path(folder)).get("architectures") or ())
        other = made and kind.__name__ not in made
        if other or (not made and "classifier.weight" in info["missing_keys"]):
            what = made or "an encoder"
            raise ValueError(
                f"{folder}: not a text classifier ({what}); a model fine-tuned for classes or a score is needed"
            )
    problems = [f"{name} is missing" for name in sorted(info["missing_keys"])]
    # transformers ignores unknown tensors; for an encoder they are heads, which may be ignored.
    if kind is BertForSequenceClassification:
        problems += [
            f"{name} is not a BERT classifier's" for name in sorted(info["unexpected_keys"]) if not is_buffer(name)
        ]
    problems += [
        f"{name} has shape {list(here)}, but config.json says {list(said)}"
        for name, here, said in sorted(info["mismatched_keys"])
    ]
    if problems:
        raise ValueError(f"{folder}: {'; '.join(problems[:5])}")
    return model.eval()


def set_labels(config: BertConfig, labels: tuple[str, ...] | None, kind: str | None = None) -> None:
    """Write a task's labels (or a score, if `labels` is None) into a model config.

    kind: transformers' `problem_type`, if it is not the one for a single class per text or a score.
    """
    config.problem_type = kind or ("regression" if labels is None else "single_label_classification")
    config.id2label = {i: name for i, name in enumerate(labels or ("score",))}
    config.label2id = {name: i for i, name in config.id2label.items()}
    config.architectures = ["BertForSequenceClassification"]
