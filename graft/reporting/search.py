"""The search over merges: what finding a task's best merge on `select` took, as a row of the comparison."""

import itertools
from collections.abc import Mapping
from typing import Any

import pandas as pd

from graft.registry.methods import KINDS
from graft.reporting import formats
from graft.study.grid import ALL_SEEDS

SYSTEM, KIND = "search.merges", "search"
# Labels that systems see, from none to all.
_LABELS = ("none", "select", "train")
# FLOPs of finished runs by part, by task, system and seed.
Parts = Mapping[tuple[str, str, int | str], Mapping[str, int]]


def with_searches(comparison: pd.DataFrame, parts: Parts) -> pd.DataFrame:
    """Add a row behind the merges of every task that has a chosen one.

    It has the chosen merge's metric and inference, and the training FLOPs of all merges that were tried, each part
    once, as a mean over seeds. It gets no verdict. It is on the Pareto front only if a single merge was tried: knowing
    before which merge is best would be cheaper.
    """
    rows: list[formats.Row] = []
    for task, of_task in itertools.groupby(formats.records(comparison), key=lambda row: row["task"]):
        own = list(of_task)
        merges = [at for at, row in enumerate(own) if row["kind"] in KINDS]
        chosen = next((row for row in own if row["chosen"] is True), None)
        if chosen:
            own.insert(merges[-1] + 1, _row(chosen, tried(own, task), parts))
        rows += own
    return pd.DataFrame(rows, columns=list(comparison.columns), dtype=object)


def tried(rows: list[formats.Row], task: str) -> list[formats.Row]:
    """The merges of a task that have finished runs."""
    return [row for row in rows if row["task"] == task and row["kind"] in KINDS and row["n_seeds"]]


def of_training(row: formats.Row, rows: list[formats.Row]) -> str | None:
    """Put the training FLOPs of the chosen merge, and of the search for it, as shares of the reference's."""
    share = None if row["train_flops_ratio"] is None else f"{_percent(row)} of its training FLOPs"
    whole = next((one for one in rows if (one["task"], one["kind"]) == (row["task"], KIND)), None)
    if share and whole and len(number := tried(rows, row["task"])) > 1:
        share += f", {_percent(whole)} with the search over {len(number)} merges"
    return share


def _percent(row: formats.Row) -> str:
    return f"{formats.ratio(100 * row['train_flops_ratio'])}%"


def _row(chosen: formats.Row, merges: list[formats.Row], parts: Parts) -> formats.Row:
    names = {row["system"] for row in merges}
    runs = {key: own for key, own in parts.items() if key[0] == chosen["task"] and key[1] in names}
    seeds = {seed for *_, seed in runs if seed != ALL_SEEDS} or {ALL_SEEDS}
    spent = [
        {name: flops for (*_, one), own in runs.items() if one in (seed, ALL_SEEDS) for name, flops in own.items()}
        for seed in seeds
    ]
    flops = sum(sum(own.values()) for own in spent)
    mean: Any = flops // len(seeds) if flops % len(seeds) == 0 else flops / len(seeds)
    ratio = chosen["train_flops_ratio"] and mean * (chosen["train_flops_ratio"] / chosen["train_flops"])
    return chosen | {
        "system": SYSTEM,
        "kind": KIND,
        "label_use": max(("select", *(row["label_use"] for row in merges)), key=_LABELS.index),
        "train_flops": mean,
        "train_flops_ratio": ratio,
        "train_flops_shared": sum(row["train_flops_shared"] for row in merges),
        "pareto": chosen["pareto"] is True and mean == chosen["train_flops"],
        **dict.fromkeys(("p_value", "p_holm", "verdict")),
        **dict.fromkeys(("n_missing", "n_failed"), 0),
        **dict.fromkeys(("near_best", "chosen"), False),
    }
