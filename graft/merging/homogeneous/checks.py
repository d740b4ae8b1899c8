"""Whether models can be merged at all: one shape, one tokenizer, one kind of head. Each error is one sentence."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graft.merging.homogeneous import table
from graft.merging.homogeneous.models import Models
from graft.tasks import alike

# What models of equal tensor shapes may still differ in, and yet be computed differently.
CONFIG = ("model_type", "num_attention_heads", "num_key_value_heads", "hidden_act", "position_embedding_type")


def check_tensors(models: Models) -> None:
    """Raise ValueError unless all models have the origin's tensors, in its shapes, and equal integers."""
    for model in models.tuned:
        for name, info in models.origin.tensors.items():
            if name not in model.tensors:
                raise ValueError(f"{model.name}: {name} is missing, which {models.origin.name} has")
            other = model.tensors[name]
            if other.shape != info.shape:
                ours, theirs = list(other.shape), list(info.shape)
                raise ValueError(f"{model.name}: {name} is {ours}, in {models.origin.name} {theirs}; must be one shape")
            if other.floating != info.floating:
                raise ValueError(f"{model.name}: {name} is {other.dtype}, in {models.origin.name} {info.dtype}")
            if not info.floating and not np.array_equal(model.stored(name), models.origin.stored(name)):
                raise ValueError(f"{model.name}: {name} is not as in {models.origin.name}; integers cannot be merged")
        if extra := set(model.tensors) - set(models.origin.tensors):
            raise ValueError(f"{model.name}: {min(extra)} is there, which {models.origin.name} has not")


def check_statistics(kind: str, models: Models) -> None:
    """Raise ValueError unless statistics are of these models: a Fisher value for every floating-point number, or one
    Gram matrix [in, in] for the same weights [out, in] in all."""
    first = models.statistics[0]
    for statistics in models.statistics:
        expected = {name: models.origin.tensors[name].shape for name in models.names}
        if kind == table.GRAM:
            expected = {name: expected.get(name, ())[1:] * 2 for name in first.tensors}
        for name, shape in expected.items():
            if name not in statistics.tensors:
                raise ValueError(f"{statistics.name}: {name} is missing; compute the statistics of this model")
            found = statistics.tensors[name]
            if found.shape != shape or not found.floating:
                ours = f"{found.dtype} {list(found.shape)}"
                raise ValueError(f"{statistics.name}: {name} is {ours}, which is not what {models.origin.name} needs")
        if extra := set(statistics.tensors) - set(expected):
            raise ValueError(f"{statistics.name}: {min(extra)} belongs to no tensor of all models")


def check_folders(folders: Sequence[Path]) -> None:
    """Raise ValueError unless all have the first one's tokenizer (as far as they have any) and architecture, and heads
    of one size with labels in one order."""
    first, *others = folders
    ours = read_config(first)
    for folder in others:
        theirs = read_config(folder)
        for key in CONFIG:
            if key in ours and key in theirs and ours[key] != theirs[key]:
                raise ValueError(f"{folder}: {key} is {theirs[key]!r}, in {first} {ours[key]!r}; must be one model's")
        alike.check_alike(first, folder)
    labelled = [(folder, labels) for folder in folders if (labels := _labels(read_config(folder)))]
    for folder, labels in labelled[1:]:
        place, expected = labelled[0]
        if labels != expected:
            raise ValueError(f"{folder}: its head has the labels {_told(labels)}, that of {place} {_told(expected)}")


def read_config(folder: Path) -> dict[str, Any]:
    """A model folder's config.json; raises ValueError where there is none."""
    try:
        return dict(json.loads((folder / "config.json").read_text()))
    except FileNotFoundError:
        raise ValueError(f"{folder / 'config.json'} is missing; a Hugging Face model folder is needed") from None
    except (json.JSONDecodeError, TypeError, ValueError) as error:
        raise ValueError(f"{folder / 'config.json'}: not a config ({error})") from None


def check_weights(weights: Sequence[float], count: int) -> None:
    """Raise ValueError unless there is a finite weight for each model and they do not sum to zero."""
    if len(weights) != count:
        raise ValueError(f"--weights: {len(weights)} are given for {count} models; give one for each")
    if not all(math.isfinite(weight) for weight in weights):
        raise ValueError(f"--weights {_told(weights)}: must be finite numbers")
    if abs(math.fsum(weights)) <= 1e-9 * math.fsum(map(abs, weights)):
        raise ValueError(f"--weights {_told(weights)}: sum to zero, so they say nothing about any model")


def _labels(config: Mapping[str, Any]) -> list[str]:
    """A classifier's labels in the order of their numbers; none where the config names none."""
    named = config.get("id2label") or {}
    labels = [str(named[key]) for key in sorted(named, key=int)]
    # So transformers calls labels that nobody named.
    return [] if labels == [f"LABEL_{i}" for i in range(len(labels))] else labels


def _told(values: Sequence[Any]) -> str:
    return ", ".join(str(value) for value in values)
