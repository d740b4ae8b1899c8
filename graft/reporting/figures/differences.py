"""A forest plot of all systems' differences to the reference, with intervals and the equivalence margin."""

import pandas as pd
from matplotlib.figure import Figure

from graft.reporting import formats, search
from graft.reporting.differences import pair_of
from graft.reporting.figures import clipping, rows
from graft.reporting.figures.source import Source
from graft.reporting.figures.style import KINDS, WIDTH, marks, numbers, seed_marks, styled

COLUMNS = (
    *("task", "system", "kind", "metric", "difference", "low", "high", "dots"),
    *("margin", "verdict", "p_holm", "chosen"),
)


def data(source: Source) -> pd.DataFrame:
    """One row per task and system that is compared with a reference."""
    found, grid = [], source.grid
    for row in formats.records(source.comparison):
        compared = row["delta_vs_reference"] is not None and row["kind"] != search.KIND
        if compared and not formats.is_reference(row):
            reference = f"finetune.{pair_of(grid.systems[row['system']], grid).large}"
            own = {"dots": source.dots(row, "delta_ci_low", reference), "margin": grid.study.margin(row["task"])}
            found.append(row | own)
    names = {"delta_vs_reference": "difference", "delta_ci_low": "low", "delta_ci_high": "high"}
    return pd.DataFrame(found, dtype=object).rename(columns=names).reindex(columns=list(COLUMNS))


@styled
def draw(data: pd.DataFrame) -> Figure:
    """Draw points with intervals or single seeds; 0 is the reference, the band the margin, a star the chosen merge."""
    found, margin = rows.ordered(formats.records(data), "difference"), data["margin"].iloc[0]
    band = "" if margin is None else f", grey: ±{margin:g}"
    figure, axis = rows.panel(found, f"Δ {found[0]['metric']} to the reference{band}")
    if margin is not None:
        axis.axvspan(-margin, margin, color="#e4e4e4", lw=0, zorder=0)
    axis.axvline(0, color="#000000", lw=0.7, zorder=1)
    spread = [row[end] for row in found for end in ("low", "high") if row[end] is not None]
    spread += [value for row in found for value in numbers(row["dots"])]
    left, limit = clipping.span([0.0, *(row["difference"] for row in found)], spread)
    axis.set_xlim(left, limit)
    ends, width = [(limit, 0)], WIDTH * axis.get_position().width
    for index, row in enumerate(found):
        dots = numbers(row["dots"])
        if row["low"] is not None:
            clipping.level(axis, index, row["low"], row["high"], KINDS[row["kind"]][1], lw=1, zorder=2)
        axis.plot(dots, [index] * len(dots), **seed_marks(row["kind"]), zorder=4)
        axis.plot(row["difference"], index, **marks(row["kind"]), zorder=3)
        note = " ".join(["★"] * (row["chosen"] is True) + [row["verdict"]] * (row["p_holm"] is not None))
        end = max([row["difference"], *dots]) if row["high"] is None else row["high"]
        ends.append((min(end, limit), len(note)))
        axis.annotate(note, (ends[-1][0], index), (4, 0), textcoords="offset points", va="center", fontsize=5.5)
    # Room for the notes, as shares of the axis, to the right of their points.
    shares = [(end, (0.1 + 0.045 * letters) / width) for end, letters in ends]
    axis.set_xlim(left, max((end - share * left) / (1 - share) for end, share in shares))
    return figure
