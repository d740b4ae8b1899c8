"""The metrics' formulas, by name; scipy and scikit-learn are imported only by those that need them."""

from collections.abc import Sequence

import numpy as np


def values(predictions: np.ndarray, references: np.ndarray, names: Sequence[str], kind: str) -> dict[str, float]:
    """Compute metrics of predictions [n] against references [n]: class ids (`kind` classes) or numbers (score).

    A correlation with constant values is 0, as they rank nothing.
    """
    constant = kind == "score" and (np.ptp(predictions) == 0 or np.ptp(references) == 0)
    return {name: 0.0 if constant else float(FORMULAS[name](predictions, references)) for name in names}


def _accuracy(x: np.ndarray, y: np.ndarray) -> float:
    return np.mean(x == y)


def _f1(x: np.ndarray, y: np.ndarray) -> float:
    from sklearn.metrics import f1_score

    return f1_score(y, x, average="binary", zero_division=0.0)


def _f1_macro(x: np.ndarray, y: np.ndarray) -> float:
    from sklearn.metrics import f1_score

    return f1_score(y, x, average="macro", zero_division=0.0)


def _matthews(x: np.ndarray, y: np.ndarray) -> float:
    from sklearn.metrics import matthews_corrcoef

    return matthews_corrcoef(y, x)


def _pearson(x: np.ndarray, y: np.ndarray) -> float:
    from scipy.stats import pearsonr

    return pearsonr(x, y)[0]


def _spearman(x: np.ndarray, y: np.ndarray) -> float:
    from scipy.stats import spearmanr

    return spearmanr(x, y)[0]


def _both(x: np.ndarray, y: np.ndarray) -> float:
    return (_pearson(x, y) + _spearman(x, y)) / 2


FORMULAS = {
    "accuracy": _accuracy,
    "f1": _f1,
    "f1_macro": _f1_macro,
    "matthews_correlation": _matthews,
    "pearson": _pearson,
    "spearman": _spearman,
    "correlation": _both,
}
