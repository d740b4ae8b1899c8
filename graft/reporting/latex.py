"""The comparison for a paper: comparison.tex, a booktabs table per task."""

from typing import Any

import pandas as pd

from graft.io.names import common_pair
from graft.reporting import formats

# LaTeX commands for characters that a paper's font may lack.
_COMMANDS = str.maketrans({"−": "$-$", "×": r"$\times$", "Δ": r"$\Delta$", "–": "--"})
# Shrinks a table to the width of its column, but never enlarges it.
_FITTED = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{"
# Escapes LaTeX's special characters, as pandas does in cells.
_ESCAPED = str.maketrans({special: f"\\{special}" for special in "&%$#_{}"})
_BEST, _NEAR = "textbf:--rwrap;", "underline:--rwrap;"


def to_latex(comparison: pd.DataFrame, confidence: float) -> str:
    r"""Render one floating table per task, for `\input`; the paper needs `\usepackage{booktabs,graphicx}`.

    The best mean is bold, and those shown to be near it are underlined. All text is escaped.
    """
    parts = [_table(task, table, confidence) for task, table in comparison.groupby("task", sort=False)]
    return "% Needs \\usepackage{booktabs,graphicx}. Made by Graft.\n" + "\n".join(parts)


def _table(task: str, table: pd.DataFrame, confidence: float) -> str:
    rows, best = formats.records(table), formats.best_rows(table)
    common, metric = common_pair(table["system"]), table["metric"].iloc[0]
    shown = pd.DataFrame([_cells(row, common, metric) for row in rows])
    shown = shown.drop(columns=[name for name in shown if name != metric and shown[name].isin(formats.EMPTY).all()])
    styles = pd.DataFrame("", index=shown.index, columns=shown.columns)
    styles[metric] = [
        _BEST if index in best else _NEAR if row["near_best"] is True else "" for index, row in enumerate(rows)
    ]
    over, underlined, few = formats.over_seeds(rows, confidence)
    caption = (
        f"{task}: {metric} over {over}; typical difference (paired by seed, without the fifth of the seeds at either "
        "end) to the fine-tuned large model; FLOPs of training and of inference as multiples of that model's. "
        f"Bold: the best{underlined}. {few}"
    ).strip()
    styled = shown.style.hide(axis="index").apply(lambda _: styles, axis=None)
    styled = styled.format(escape="latex").format_index(escape="latex", axis=1)
    text = styled.to_latex(
        hrules=True, position="t", position_float="centering", label=f"tab:{task}", caption=caption.translate(_ESCAPED),
        column_format="".join("l" if name in ("system", "verdict") else "r" for name in shown),
    )  # fmt: skip
    for part, fitted in ((r"\begin{tabular}", rf"{_FITTED}\begin{{tabular}}"), (r"\end{tabular}", r"\end{tabular}}")):
        text = text.replace(part, fitted)
    return text.translate(_COMMANDS)


def _cells(row: dict[str, Any], common: str, metric: str) -> dict[str, str]:
    cells = formats.row_cells(row)
    return {
        "system": row["system"].removesuffix(common),
        metric: cells["mean"],
        "Δ reference": cells["delta"],
        "training": f"×{formats.ratio(row['train_flops_ratio'])}".removeprefix(f"×{formats.NOTHING}"),
        "inference": f"×{formats.ratio(row['inference_flops_ratio'])}".removeprefix(f"×{formats.NOTHING}"),
        "verdict": cells["verdict"],
    }
