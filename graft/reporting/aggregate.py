"""Aggregate the systems' scores over all tasks: aggregate.csv."""

from collections.abc import Mapping

import pandas as pd

from graft.reporting.differences import Compared
from graft.statistics.aggregates import aggregate
from graft.statistics.crossed import Crossed

COLUMNS = ("system", "kind", "tasks", "iqm", "iqm_low", "iqm_high", "mean_rank", "rank_low", "rank_high")


def aggregated(rows: list[Compared], tasks: Mapping[str, Crossed]) -> pd.DataFrame:
    """One row per system with runs on every counted task, by descending interquartile mean; see `aggregates`."""
    references = {row.system.name: row.others["reference"][0] for row in rows}
    kinds = {row.system.name: row.system.kind for row in rows}
    found = sorted(aggregate(list(tasks.values()), references), key=lambda one: -one.iqm)
    values = [
        (a.system, kinds[a.system], " ".join(a.tasks), a.iqm, *a.iqm_interval, a.rank, *a.rank_interval) for a in found
    ]
    return pd.DataFrame(values, columns=list(COLUMNS), dtype=object)
