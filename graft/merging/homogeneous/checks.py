"""Check that weights, statistics and tokenizers fit the models to be merged. Each error is one sentence."""

import math
from collections.abc import Sequence
from pathlib import Path

from graft.merging.homogeneous import companions
from graft.merging.homogeneous.models import Models
from graft.merging.homogeneous.regmean import GRAM
from graft.tasks import alike


def check_statistics(kind: str, models: Models) -> None:
    """Raise ValueError unless the statistics fit these models.

    Fisher statistics need a value for every floating-point parameter; Gram statistics need a matrix [in, in] for the
    same weights [out, in] in all models.
    """
    first = models.statistics[0]
    for statistics in models.statistics:
        expected = {name: models.origin.tensors[name].shape for name in models.names}
        if kind == GRAM:
            expected = {name: expected.get(name, ())[1:] * 2 for name in first.tensors}
        for name, shape in expected.items():
            if name not in statistics.tensors:
                raise ValueError(f"{statistics.name}: {name} is missing; compute the statistics of this model")
            found = statistics.tensors[name]
            if found.shape != shape or not found.floating:
                ours = f"{found.dtype} {list(found.shape)}"
                raise ValueError(f"{statistics.name}: {name} is {ours}, which is not what {models.origin.name} needs")
        if extra := set(statistics.tensors) - set(expected):
            raise ValueError(f"{statistics.name}: {min(extra)} does not belong to any tensor that all models have")


def check_readers(folders: Sequence[Path]) -> None:
    """Raise ValueError unless all folders with a tokenizer produce the same tokens (see `alike.check_alike`)."""
    readers = companions.reading(folders)
    for folder in readers[1:]:
        alike.check_alike(readers[0], folder)


def check_weights(weights: Sequence[float], count: int) -> None:
    """Raise ValueError unless there is one finite weight per model and the weights do not sum to zero."""
    listed = ", ".join(map(str, weights))
    if len(weights) != count:
        raise ValueError(f"--weights: {len(weights)} are given for {count} models; give one for each")
    if not all(math.isfinite(weight) for weight in weights):
        raise ValueError(f"--weights {listed}: must be finite numbers")
    if abs(math.fsum(weights)) <= 1e-9 * math.fsum(map(abs, weights)):
        raise ValueError(f"--weights {listed}: sum to zero, so they carry no information about any model")
