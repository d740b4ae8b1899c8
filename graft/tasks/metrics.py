"""Compute a task's metrics: those reported through `evaluate`, from the module that ships with Graft.

Choices on `select` call the same formulas directly, since a search needs hundreds of scores.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from graft.registry.tasks import TaskRow
from graft.tasks import scores

# What `evaluate` would import for its bootstrap and its evaluators, which Graft does not use: seconds.
NEEDLESS = ("scipy.stats", "transformers", "transformers.pipelines")
MODULE = Path(__file__).parent / "glue_metrics"
RESAMPLES = 500


def predictions(logits: np.ndarray, row: TaskRow) -> np.ndarray:
    """Return class ids [n], or scores [n], from outputs [n, c]."""
    return logits[:, 0].astype(np.float64) if row.labels is None else logits.argmax(axis=1).astype(np.int64)


def evaluating() -> Any:
    """Import `evaluate`, which takes half a second and which only reported numbers need, without what it drags in."""
    without = [name for name in NEEDLESS if name not in sys.modules]
    for name in without:
        sys.modules[name] = None  # type: ignore[assignment]  # Python's word for: cannot be imported
    import evaluate

    for name in without:
        del sys.modules[name]
    return evaluate


def compute(logits: np.ndarray, labels: np.ndarray, row: TaskRow) -> dict[str, float]:
    """Compute the task's metrics of outputs [n, c] against labels [n] through `evaluate`."""
    module = evaluating().load(str(MODULE), row.kind, keep_in_memory=True)
    return module.compute(predictions=predictions(logits, row), references=labels, metrics=list(row.metrics))


def primary(logits: np.ndarray, labels: np.ndarray, row: TaskRow) -> float:
    """Compute the task's primary metric, by which choices are made."""
    name = row.primary_metric
    return scores.values(predictions(logits, row), labels, [name], row.kind)[name]


def with_errors(logits: np.ndarray, labels: np.ndarray, row: TaskRow) -> dict[str, dict[str, float]]:
    """Compute the task's metrics, each with value, stderr and n.

    The standard error is over examples: binomial for accuracy, otherwise from a bootstrap of 500 draws with a fixed
    seed.
    """
    values = compute(logits, labels, row)
    n = len(labels)
    errors = {}
    if "accuracy" in values:
        errors["accuracy"] = float(np.sqrt(values["accuracy"] * (1 - values["accuracy"]) / n))
    rest = [name for name in row.metrics if name not in errors]
    if rest:
        rng = np.random.default_rng(0)
        draws = [rng.integers(0, n, n) for _ in range(RESAMPLES)]
        # Call the formulas directly: `compute` writes an Arrow table per call, 10 ms each.
        resampled = [scores.values(predictions(logits[d], row), labels[d], rest, row.kind) for d in draws]
        errors |= {name: float(np.std([r[name] for r in resampled], ddof=1)) for name in rest}
    return {name: {"value": value, "stderr": errors[name], "n": n} for name, value in values.items()}


def is_degenerate(logits: np.ndarray, row: TaskRow) -> bool:
    """Whether all predictions are the same."""
    return bool(np.ptp(predictions(logits, row)) == 0)
