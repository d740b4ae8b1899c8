"""Whether weights, statistics and tokenizers are of the models that are merged. Each error is one sentence."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from graft.merging.homogeneous import companions, table
from graft.merging.homogeneous.models import Models


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


def check_readers(folders: Sequence[Path]) -> None:
    """Raise ValueError unless all that have a tokenizer have the same, as far as a text's tokens tell."""
    first, *others = companions.reading(folders) or [None]
    for folder in others:
        check_tokenizers(first, folder)


def check_weights(weights: Sequence[float], count: int) -> None:
    """Raise ValueError unless there is a finite weight for each model and they do not sum to zero."""
    if len(weights) != count:
        raise ValueError(f"--weights: {len(weights)} are given for {count} models; give one for each")
    if not all(math.isfinite(weight) for weight in weights):
        raise ValueError(f"--weights {_told(weights)}: must be finite numbers")
    if abs(math.fsum(weights)) <= 1e-9 * math.fsum(map(abs, weights)):
        raise ValueError(f"--weights {_told(weights)}: sum to zero, so they say nothing about any model")


def check_tokenizers(one: Path, other: Path) -> None:
    """Raise ValueError if two folders have tokenizers that give a text different tokens."""
    ours, theirs = _tokenizer(one), _tokenizer(other)
    if ours is not None and theirs is not None:
        same = ours == theirs
    else:
        ours, theirs = _vocabulary(one), _vocabulary(other)
        same = ours is None or theirs is None or ours == theirs
    if not same:
        raise ValueError(f"{other}: its tokenizer is not that of {one}; models that read alike are needed")


def _tokenizer(folder: Path) -> dict[str, Any] | None:
    if not (folder / "tokenizer.json").is_file():
        return None
    try:
        found = dict(json.loads((folder / "tokenizer.json").read_text()))
    except (json.JSONDecodeError, TypeError, ValueError):
        raise ValueError(f"{folder / 'tokenizer.json'}: not a tokenizer") from None
    # How a tokenizer last cut and filled up its texts is saved with it, but is no part of it.
    return {key: value for key, value in found.items() if key not in ("truncation", "padding")}


def _vocabulary(folder: Path) -> Mapping[str, int] | None:
    if (folder / "vocab.txt").is_file():
        return {token: i for i, token in enumerate((folder / "vocab.txt").read_text().splitlines())}
    words = (_tokenizer(folder) or {}).get("model", {}).get("vocab")
    return words if isinstance(words, dict) else None


def _told(values: Sequence[Any]) -> str:
    return ", ".join(str(value) for value in values)
