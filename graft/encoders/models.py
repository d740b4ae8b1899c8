"""Load encoders and classifiers from Hugging Face folders, always in float32 and never from the hub."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import CONFIG_MAPPING, PreTrainedConfig
from transformers.utils import logging

from graft.encoders import tensor_names, translation
from graft.encoders.checkpoints import read_checkpoint
from graft.encoders.local_models import PROJECTION
from graft.encoders.network import Classifier, Encoder, empty
from graft.io.model_folders import open_folder, read_config
from graft.registry import families
from graft.registry.shapes import Shape

Loaded = TypeVar("Loaded", Encoder, Classifier)
# Progress bars for files that load in an instant would fill logs, and precede a one-line error.
logging.disable_progress_bar()


def load_encoder(folder: str | Path) -> Encoder:
    """Load the encoder (embeddings, layers, pooler) saved in `folder`, in float32 and eval mode.

    Raises ValueError if a tensor is missing or its shape differs from `config.json`.
    """
    config, shape = load_config(folder), Shape.of(folder)
    body = body_of(read_checkpoint(open_folder(Path(folder)), str(folder)), shape, str(folder))
    if shape.kind.head.pooler is None:
        body = translation.identity_pooler(shape) | body
    # Heads of other kinds are ignored, as in transformers.
    return _loaded(Encoder, config, body, str(folder), ignore=True)


def body_of(stored: Mapping[str, Tensor], shape: Shape, where: str) -> dict[str, Tensor]:
    """Return a checkpoint's encoder tensors in float32 under their names in memory, without heads and buffers.

    A classifier's first layer is taken as the pooler. Raises ValueError if a tensor occurs twice, or there are none.
    """
    try:
        names = tensor_names.of(stored, next(iter(shape.kind.types)))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    if not names.body:
        raise ValueError(f"{where}: no encoder tensors; a checkpoint of an encoder is needed")
    head = shape.kind.head
    parts = ("weight", "bias") if shape.kind.biased else ("weight",)
    pooler = {f"{module}.{part}": part for module in (head.dense, head.norm) if module for part in parts}
    found = {name: names.heads[name] for name in pooler if name in names.heads}
    if head.pooler:
        # Taken for a pooler only if whole.
        found = {f"{head.pooler}.{pooler[name]}": stored for name, stored in found.items() if len(found) == len(pooler)}
    wanted = {**found, **names.body}
    return translation.body({name: stored[key].float() for name, key in wanted.items()}, shape)


def load_config(folder: str | Path) -> PreTrainedConfig:
    """Load the config of the model in `folder` as transformers has it."""
    family = families.of_config(given := read_config(Path(folder)))
    model_type = given.get("model_type", next(iter(family.types)))
    return CONFIG_MAPPING[model_type].from_pretrained(folder, local_files_only=True)


def config_of(shape: Shape) -> PreTrainedConfig:
    """Return the config of a model of this shape."""
    return CONFIG_MAPPING[shape.config["model_type"]].from_dict(shape.config)


def encoder_of(body: Mapping[str, Tensor], shape: Shape) -> Encoder:
    """Build an encoder of a body's own tensors, not copies, in eval mode, on the body's device and in its dtype."""
    example = next(iter(body.values()))
    with example.device:
        model = empty(Encoder, config_of(shape)).to(example.dtype)
    model.load_state_dict(body, assign=True)
    return model.eval()


def new_encoder(config: PreTrainedConfig) -> Encoder:
    """Build an encoder with weights that transformers draws from torch's global generator."""
    from transformers import AutoModel  # takes a while

    model = empty(Encoder, config)
    drawn = translation.body(AutoModel.from_config(config).state_dict(), model.shape)
    model.load_state_dict(translation.identity_pooler(model.shape) | drawn)
    return model


def projections_of(folder: str | Path) -> tuple[Tensor, ...]:
    """Load the weights [w_L, w_S] with which a distillation compared hidden states; empty if the folder has none.

    One for all states, or one for the embeddings and one for each layer, in that order.
    """
    path = Path(folder) / PROJECTION
    found = load_file(path) if path.is_file() else {}
    if "weight" in found:
        return (found["weight"],)
    return tuple(found[f"{i}.weight"] for i in range(len(found) // 2))


def load_classifier(folder: str | Path) -> Classifier:
    """Load the fine-tuned or merged classifier saved in `folder`, in float32 and eval mode.

    Raises ValueError if it is no classifier, a tensor is missing, or a tensor's shape differs from `config.json`.
    """
    config, shape = load_config(folder), Shape.of(folder)
    stored = read_checkpoint(open_folder(Path(folder)), str(folder))
    tensors = translation.classifier({name: tensor.float() for name, tensor in stored.items()}, shape)
    # A loaded model's config names the class it was loaded as, so read the saved class from the file.
    made = ", ".join(read_config(Path(folder)).get("architectures") or ())
    if (made and class_of(config, head=True) not in made) or (not made and "classifier.weight" not in tensors):
        what = made or "an encoder"
        raise ValueError(
            f"{folder}: not a text classifier ({what}); a model fine-tuned for classes or a score is needed"
        )
    return _loaded(Classifier, config, tensors, str(folder), ignore=False)


def new_classifier(folder: str | Path, labels: tuple[str, ...] | None, seed: int) -> Classifier:
    """Load the encoder in `folder` with a new classification head (one regression output if `labels` is None).

    The head's weights are drawn from N(0, initializer_range^2) with a separate generator, so that they depend only on
    `seed`; nothing is drawn from torch's global one.
    """
    config = load_config(folder)
    set_labels(config, labels)
    model = empty(Classifier, config)
    model.bert.load_state_dict(load_encoder(folder).state_dict())
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        model.classifier.weight.normal_(0.0, config.initializer_range, generator=generator)
        model.classifier.bias.zero_()
    return model


def _loaded(
    kind: type[Loaded], config: PreTrainedConfig, tensors: Mapping[str, Tensor], folder: str, ignore: bool
) -> Loaded:
    """Build a model from its tensors; `ignore`: whether there may be others."""
    model = empty(kind, config)
    expected = model.state_dict()
    problems = [f"{name} is missing" for name in sorted(set(expected) - set(tensors))]
    if not ignore:
        unknown = sorted(set(tensors) - set(expected))
        problems += [f"{name} is not a {Shape.of(folder).family} classifier's" for name in unknown]
    problems += [
        f"{name} has shape {list(tensors[name].shape)}, but config.json says {list(wanted.shape)}"
        for name, wanted in sorted(expected.items())
        if name in tensors and tensors[name].shape != wanted.shape
    ]
    if problems:
        raise ValueError(f"{folder}: {'; '.join(problems[:5])}")
    model.load_state_dict({name: tensors[name] for name in expected})
    return model.eval()


def set_labels(config: PreTrainedConfig, labels: tuple[str, ...] | None, kind: str | None = None) -> None:
    """Write a task's labels (or a score, if `labels` is None) into a model config.

    kind: transformers' `problem_type`, if it is not the one for a single class per text or a score.
    """
    config.problem_type = kind or ("regression" if labels is None else "single_label_classification")
    config.id2label = {i: name for i, name in enumerate(labels or ("score",))}
    config.label2id = {name: i for i, name in config.id2label.items()}
    config.architectures = [class_of(config, head=True)]


def class_of(config: PreTrainedConfig, head: bool) -> str:
    """Name of transformers' class for an encoder with this config, or for a classifier (`head`)."""
    stem = families.of_config({"model_type": config.model_type}).types[config.model_type]
    return stem + ("ForSequenceClassification" if head else "Model")
