"""The metrics' formulas, by name; scipy and scikit-learn are imported only by those that need them."""

from collections.abc import Callable, Sequence

import numpy as np


def values(predictions: np.ndarray, references: np.ndarray, names: Sequence[str], kind: str) -> dict[str, float]:
    """Compute metrics of predictions [n] against references [n]: class ids (`kind` classes) or numbers (score).

    A correlation with constant values is 0, as they rank nothing.
    """
    constant = kind == "score" and (np.ptp(predictions) == 0 or np.ptp(references) == 0)
    return {name: 0.0 if constant else float(FORMULAS[name](predictions, references)) for name in names}


def _f1(x: np.ndarray, y: np.ndarray, average: str) -> float:
    from sklearn.metrics import f1_score

    return f1_score(y, x, average=average, zero_division=0.0)


def _matthews(x: np.ndarray, y: np.ndarray) -> float:
    from sklearn.metrics import matthews_corrcoef

    return matthews_corrcoef(y, x)


def _correlation(x: np.ndarray, y: np.ndarray, name: str) -> float:
    from scipy import stats

    return getattr(stats, name)(x, y)[0]


FORMULAS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "accuracy": lambda x, y: np.mean(x == y),
    "f1": lambda x, y: _f1(x, y, "binary"),
    "f1_macro": lambda x, y: _f1(x, y, "macro"),
    "matthews_correlation": _matthews,
    "pearson": lambda x, y: _correlation(x, y, "pearsonr"),
    "spearman": lambda x, y: _correlation(x, y, "spearmanr"),
    "correlation": lambda x, y: (_correlation(x, y, "pearsonr") + _correlation(x, y, "spearmanr")) / 2,
}
