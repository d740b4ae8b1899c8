"""Format the comparison's numbers for readers, both in documents and in the terminal."""

from collections.abc import Collection
from typing import Any

import pandas as pd

from graft.reporting import captions
from graft.statistics.crossed import SEEDS_FOR_INTERVAL, SEEDS_FOR_TEST
from graft.statistics.verdicts import DESCRIPTIVE
from graft.study.grid_systems import ORACLE

NOTHING = "–"
# Cells that say nothing: a column of these alone is left out.
EMPTY = ("", NOTHING, DESCRIPTIVE)
Row = dict[str, Any]
# By key of `row_cells`, in the order of the columns: the heading (of `mean`: the metric's name), and the column of
# comparison.csv by which a numeric column is sorted.
COLUMNS = {
    "system": ("system", None),
    "kind": ("kind", None),
    "labels": ("labels seen", None),
    "mean": ("mean", "mean"),
    "delta": ("Δ reference", "delta_vs_reference"),
    "small": ("Δ small", "delta_vs_small"),
    "head_only": ("Δ head only", "delta_vs_head_only"),
    "training": ("training FLOPs (× reference)", "train_flops"),
    "shared": ("shared", "train_flops_shared"),
    "inference": ("inference FLOPs (× reference)", "inference_flops"),
    "parameters": ("parameters", "parameters"),
    "pareto": ("Pareto", None),
    "verdict": ("verdict", None),
    "runs": ("runs", "n_seeds"),
}
# The columns of the report's ranked table; the others are in its folded tables.
RANKED = ("system", "kind", "labels", "mean", "delta", "verdict", "training", "inference", "runs")


def records(table: pd.DataFrame) -> list[Row]:
    """Convert a table to one dict per row, with None for empty cells (NaN in a table read from CSV)."""
    return table.astype(object).where(table.notna(), None).to_dict("records")


def best_rows(table: pd.DataFrame) -> set[int]:
    """Positions of the rows with the highest mean, oracles apart: several if they tie, none if no run is done."""
    means = [None if row["kind"] == ORACLE else row["mean"] for row in records(table)]
    known = [mean for mean in means if mean is not None]
    return {index for index, mean in enumerate(means) if known and mean == max(known)}


def row_cells(row: Row) -> dict[str, str]:
    """Format a row of the comparison as text, by the keys of COLUMNS."""
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
        "shared": flops(row["train_flops_shared"]),
        "inference": with_ratio(row["inference_flops"], row["inference_flops_ratio"]),
        "parameters": count(row["parameters"]),
        "pareto": "yes" if row["pareto"] is True else "",
        "verdict": row["verdict"] or NOTHING,
        "runs": runs(row),
    }


def shown(rows: list[Row]) -> list[str]:
    """Keys of COLUMNS that say something in any row."""
    cells = [row_cells(row) for row in rows]
    return [key for key in COLUMNS if any(row[key] not in EMPTY for row in cells)]


def seeds_of(rows: list[Row]) -> dict[str, int]:
    """The most finished seeds of any system, by task."""
    return {row["task"]: max(one["n_seeds"] for one in rows if one["task"] == row["task"]) for row in rows}


def too_few(seeds: int, where: str = "") -> str:
    """State what a number of seeds is too few for, `where` given as ` on <tasks>`; "" if it is enough."""
    lacking = [f"intervals, which take {SEEDS_FOR_INTERVAL}, and for "] * (seeds < SEEDS_FOR_INTERVAL)
    text = f"{counted(seeds, where)} too few for {''.join(lacking)}p values and verdicts, which take {SEEDS_FOR_TEST}."
    return text if seeds < SEEDS_FOR_TEST else ""


def counted(seeds: int, where: str = "") -> str:
    return f"1 seed{where} is" if seeds == 1 else f"{seeds} seeds{where} are"


def is_reference(row: Row) -> bool:
    """Whether a row is its own reference."""
    return row["kind"] == "finetune" and row["delta_vs_reference"] == 0 and row["train_flops_ratio"] == 1


def rounded(value: float) -> float:
    """Round a metric, or a difference of two, to three decimals: one example in a thousand.

    All metrics are rounded here. Rounding to nine decimals first removes differences in summation order, so that these
    never change the third decimal.
    """
    return round(round(value, 9), 3)


def score(value: float | None) -> str:
    """Format a metric with three decimals."""
    return NOTHING if value is None else f"{rounded(value) or 0:.3f}".replace("-", "−")


def difference(value: float | None) -> str:
    """Format a signed difference; one that rounds to zero has no sign."""
    return NOTHING if value is None else _signed(rounded(value), 3)


def points(value: float) -> str:
    """Format a difference in hundredths of a metric."""
    return _signed(100 * rounded(value), 1)


def _signed(value: float, digits: int) -> str:
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def reference_mean(row: Row, rows: list[Row]) -> float:
    """The mean of the fine-tuned large model, among `rows`, that the merge in `row` is compared with."""
    name = f"finetune.{row['system'].rsplit('-into-', 1)[1]}"
    return next(other["mean"] for other in rows if (other["task"], other["system"]) == (row["task"], name))


def with_interval(value: float | None, low: float | None, high: float | None, write: Any) -> str:
    return write(value) if low is None or high is None else f"{write(value)} [{write(low)}, {write(high)}]"


def flops(value: float | None) -> str:
    """Format FLOPs with two significant digits, as 1.2e15."""
    if value is None:
        return NOTHING
    mantissa, _, exponent = f"{float(value):.1e}".partition("e")
    return f"{mantissa}e{int(exponent)}" if value else "0"


def with_ratio(value: float | None, times: float | None) -> str:
    return flops(value) if times is None else f"{flops(value)} (×{ratio(times)})"


def ratio(value: float | None) -> str:
    """Format a ratio with two or three significant digits."""
    if value is None:
        return NOTHING
    if value == 0 or value >= 100:
        return f"{value:.0f}"
    return f"{value:.2g}" if value < 1 else f"{value:.3g}"


def count(value: float | None) -> str:
    """Format a count, as 22.7M."""
    if value is None:
        return NOTHING
    size, unit = next(((s, u) for s, u in ((1e9, "B"), (1e6, "M"), (1e3, "k")) if value >= s), (1, ""))
    return f"{value / size:.3g}{unit}" if unit else f"{value:.0f}"


def size(value: float) -> str:
    """Format bytes, as 1.2 GB, in powers of 1000."""
    number, unit = next(((n, u) for n, u in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")) if value >= n), (1e3, "kB"))
    return f"{value / number:.3g} {unit}"


def runs(row: Row) -> str:
    """Format finished and expected runs, and how many failed, are missing, or did not learn: `11/12, 1 failed`.

    Those that did not learn come with the highest rate of such runs that they leave possible.
    """
    others = [f"{row[key]} {word}" for key, word in (("n_missing", "missing"), ("n_failed", "failed")) if row[key]]
    if row["failed"] and row["kind"] != "baseline":
        others.append(f"{row['failed']:.0f} did not learn (≤ {row['failed_high']:.0%})")
    return ", ".join([f"{row['n_seeds']}/{row['n_expected']}", *others])


def over_seeds(rows: list[Row], confidence: float) -> tuple[str, str, str]:
    """State how many seeds a task's table is over and with which intervals, what is underlined, and what it lacks."""
    expected, (seeds,) = max(row["n_expected"] for row in rows), seeds_of(rows).values()
    over, underlined = f"{expected} {'seed' if expected == 1 else 'seeds'}", ""
    if seeds >= SEEDS_FOR_INTERVAL:
        over += f" with {confidence:.0%} intervals for new seeds and examples (of fewer than {SEEDS_FOR_INTERVAL} none)"
        underlined = "; underlined: shown to be less than the margin below it"
    return over, underlined, too_few(seeds)


def _clean(rows: list[Row], confidence: float) -> str:
    """State what a system without such runs leaves possible."""
    most = max(row["n_seeds"] for row in rows)
    possible = f"{1 - (1 - confidence) ** (1 / most):.0%}" if most else ""
    return f"; none among {most} leaves up to {possible}, of which a mean's interval cannot know" if most else ""


def caption(rows: list[Row], confidence: float, keys: Collection[str]) -> str:
    """Describe a task's comparison with these columns, keys of COLUMNS, in full sentences."""
    over, underlined, few = over_seeds(rows, confidence)
    others = (
        ", the fine-tuned small model, and the same head, fitted alike, on the untouched large model (the head that is "
        "best on select for a merge without a choice of head)"
    )
    sentences = {
        "mean": f"{rows[0]['metric']} on the report split: mean of all runs, over {over}.",
        "few": few,
        "runs": "1/1 runs cover all seeds; of one draw of a random training (soups) they have no interval, p value or "
        "verdict.",
        "delta": "Δ, with its interval and the verdict, is about typical runs: the mean difference, paired by seed and "
        "without the fifth of the seeds at either end (so with fewer than 5 the mean), to the reference (the "
        f"fine-tuned large model){others if 'head_only' in keys else ''}.",
        "training": captions.TRAINING,
        "shared": "Shared: each part is divided by the number of runs that use it.",
        "search": "search.merges: the merge that is best on select, with all that was computed to find it.",
        "inference": "Inference FLOPs are per example of 128 tokens.",
        "pareto": "Pareto: no other system is as good, as cheap to train and as cheap to use.",
        "best": f"Bold: the best mean{underlined}.",
        "learnt": "Did not learn: runs no better than one answer for all examples, with the highest rate of them that "
        f"is possible ({confidence:.0%}){_clean(rows, confidence)}.",
    }
    return " ".join(said for key, said in sentences.items() if said and (key not in COLUMNS or key in keys))
