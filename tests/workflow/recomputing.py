"""comparison.csv from nothing but predictions.parquet and run.json, by pandas, scipy and scikit-learn alone.

`python -m tests.workflow.recomputing results/STUDY` does it for any finished study.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score


def metric(path: Path) -> float:
    table = pd.read_parquet(path)
    if "score" in table:
        x, y = table["score"], table["label"]
        return 0.0 if np.ptp(x) == 0 else (pearsonr(x, y)[0] + spearmanr(x, y)[0]) / 2
    return accuracy_score(table["label"], table.filter(like="logit_").to_numpy().argmax(axis=1))


def check(results: Path) -> int:
    """Hold every row against its runs; returns how many there are."""
    table = pd.read_csv(results / "tables" / "comparison.csv").set_index(["task", "system"])
    values, flops = {}, {}
    for (task, system), _ in table.iterrows():
        folders = sorted((results / "runs" / task / system).glob("seed-*/run.json"))
        values[task, system] = {f.parent.name: metric(f.parent / "predictions.parquet") for f in folders}
        flops[task, system] = np.mean([json.loads(f.read_text())["cost"]["train_flops"] for f in folders])
    pair = next(name.rsplit(".", 1)[1] for _, name in table.index if name.startswith("merge."))
    small, large = (f"finetune.{name}" for name in pair.split("-into-"))
    for (task, system), row in table.iterrows():
        own, reference = values[task, system], values[task, large]
        assert row["mean"] == pytest.approx(np.mean(list(own.values())), abs=1e-9), (task, system)
        assert row["n_seeds"] == len(own)
        seeds = reference if "seed-all" in own else own
        delta = np.mean([own.get(s, own.get("seed-all")) - reference[s] for s in seeds])
        assert row["delta_vs_reference"] == pytest.approx(delta, abs=1e-9), (task, system)
        assert row["train_flops_ratio"] == pytest.approx(flops[task, system] / flops[task, large]), (task, system)
        other = system.rpartition(".")[2].split("-into-")[0]
        small_values = values[task, f"finetune.{other}" if system.startswith("control.other") else small]
        if system.startswith(("merge.", "control.other")):
            pairs = [(own.get(s, own.get("seed-all")), v) for s, v in small_values.items()]
            assert row["delta_vs_small"] == pytest.approx(np.mean([a - b for a, b in pairs]), abs=1e-9), system
        few = len(seeds) < 5
        assert np.isnan(row["ci_low"]) == few, (task, system)
        assert few or row["ci_low"] <= row["mean"] <= row["ci_high"], (task, system)
    return len(table)


if __name__ == "__main__":
    print(f"{check(Path(sys.argv[1]))} rows of comparison.csv are what the predictions say")
