"""How the numbers of the comparison are written for people, in Markdown and in the terminal alike."""

from __future__ import annotations

from typing import Any

import pandas as pd

NOTHING = "–"
# Keys of `row_cells` in the order of the columns; the heading of `mean` is the metric's name.
HEADINGS = {
    "system": "system",
    "kind": "kind",
    "labels": "labels seen",
    "mean": "mean",
    "delta": "Δ reference",
    "small": "Δ small",
    "head_only": "Δ head only",
    "training": "training FLOPs (× reference)",
    "inference": "inference FLOPs (× reference)",
    "parameters": "parameters",
    "pareto": "Pareto",
    "verdict": "verdict",
    "runs": "runs",
}

# The columns of comparison.csv that these are sorted by, where they can be.
NUMBERS = {
    "mean": "mean",
    "delta": "delta_vs_reference",
    "small": "delta_vs_small",
    "head_only": "delta_vs_head_only",
    "training": "train_flops",
    "inference": "inference_flops",
    "parameters": "parameters",
    "runs": "n_seeds",
}


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table as dicts, with None in every empty cell (a table read from CSV has NaN there)."""
    return table.astype(object).where(table.notna(), None).to_dict("records")


def best_rows(table: pd.DataFrame) -> set[int]:
    """Positions of the rows with the highest mean; more than one where they tie, none where nothing is done."""
    means = [row["mean"] for row in records(table)]
    known = [mean for mean in means if mean is not None]
    return {index for index, mean in enumerate(means) if known and mean == max(known)}


def row_cells(row: dict[str, Any]) -> dict[str, str]:
    """One row of the comparison as text, by the keys of HEADINGS."""
    return {
        "system": row["system"],
        "kind": row["kind"],
        "labels": row["label_use"],
        "mean": with_interval(row["mean"], row["ci_low"], row["ci_high"], score),
        "delta": "reference"
        if is_reference(row)
        else with_interval(row["delta_vs_reference"], row["delta_ci_low"], row["delta_ci_high"], difference),
        "small": difference(row["delta_vs_small"]),
        "head_only": difference(row["delta_vs_head_only"]),
        "training": with_ratio(row["train_flops"], row["train_flops_ratio"]),
        "inference": with_ratio(row["inference_flops"], row["inference_flops_ratio"]),
        "parameters": count(row["parameters"]),
        "pareto": "yes" if row["pareto"] is True else "",
        "verdict": row["verdict"] or NOTHING,
        "runs": runs(row),
    }


def is_reference(row: dict[str, Any]) -> bool:
    """Whether a row is the one it would be compared with."""
    return row["kind"] == "finetune" and row["delta_vs_reference"] == 0 and row["train_flops_ratio"] == 1


def rounded(value: float) -> float:
    """A metric, or a difference of two, to three decimals: one example of a thousand.

    The one rounding of metrics. What two ways of adding the same numbers differ in is far below the nine decimals of
    the first step, so that it never turns the third.
    """
    return round(round(value, 9), 3)


def score(value: float | None) -> str:
    """A metric with three decimals."""
    return NOTHING if value is None else f"{rounded(value) or 0:.3f}".replace("-", "−")


def difference(value: float | None) -> str:
    """A signed difference; one that rounds to nothing has no sign."""
    return NOTHING if value is None else _signed(rounded(value), 3)


def points(value: float) -> str:
    """A difference in hundredths of a metric."""
    return _signed(100 * rounded(value), 1)


def _signed(value: float, digits: int) -> str:
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def reference_mean(row: dict[str, Any], rows: list[dict[str, Any]]) -> float:
    """The mean, as in the table, of the fine-tuned large model that a merge among its `rows` is compared with."""
    name = f"finetune.{row['system'].rsplit('-into-', 1)[1]}"
    return next(other["mean"] for other in rows if (other["task"], other["system"]) == (row["task"], name))


def with_interval(value: float | None, low: float | None, high: float | None, write: Any) -> str:
    return write(value) if low is None or high is None else f"{write(value)} [{write(low)}, {write(high)}]"


def flops(value: float | None) -> str:
    """FLOPs with two digits, as 1.2e15."""
    if value is None:
        return NOTHING
    mantissa, _, exponent = f"{float(value):.1e}".partition("e")
    return f"{mantissa}e{int(exponent)}" if value else "0"


def with_ratio(value: float | None, times: float | None) -> str:
    return flops(value) if times is None else f"{flops(value)} (×{ratio(times)})"


def ratio(value: float | None) -> str:
    """A ratio with two or three digits that tell."""
    if value is None:
        return NOTHING
    if value == 0 or value >= 100:
        return f"{value:.0f}"
    return f"{value:.2g}" if value < 1 else f"{value:.3g}"


def count(value: float | None) -> str:
    """A count as 22.7M."""
    if value is None:
        return NOTHING
    size, unit = next(((s, u) for s, u in ((1e9, "B"), (1e6, "M"), (1e3, "k")) if value >= s), (1, ""))
    return f"{value / size:.3g}{unit}" if unit else f"{value:.0f}"


def size(value: float) -> str:
    """Bytes as 1.2 GB, in powers of 1000."""
    number, unit = next(((n, u) for n, u in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")) if value >= n), (1e3, "kB"))
    return f"{value / number:.3g} {unit}"


def runs(row: dict[str, Any]) -> str:
    """Finished of expected runs, and what became of the others: `2/3, 1 failed`."""
    words = (("n_missing", "missing"), ("n_failed", "failed"), ("degenerate", "constant"))
    others = [f"{row[key]} {word}" for key, word in words if row[key]]
    return ", ".join([f"{row['n_seeds']}/{row['n_expected']}", *others])


def caption(metric: str, seeds: int, confidence: float) -> str:
    """What a table shows, in full sentences."""
    return (
        f"{metric} on the report split: mean over {seeds} {'seed' if seeds == 1 else 'seeds'} with the "
        f"{confidence:.0%} interval for new seeds and new examples (a system with 1/1 runs stands for all seeds; one "
        "of which one seed is done has none). "
        "Δ: mean of the differences paired by seed to the reference (the fine-tuned large model), the fine-tuned small "
        "model, and the same head on the untouched large model (the head that is best on select for a merge without a "
        "choice of head). "
        "Training FLOPs count all compute from the published checkpoints; inference FLOPs are per example of 128 "
        "tokens. Pareto: no system is at once as good and as cheap to train. Bold: the best mean; underlined: "
        "within noise of it. "
        "Constant: a run that predicts the same for every example."
    )
