"""comparison.csv and significance.csv from nothing but predictions.parquet and run.json, by pandas and scipy alone.

`python -m tests.workflow.recomputing results/STUDY` does it for any finished study.
"""

import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, mannwhitneyu, pearsonr, spearmanr, trim_mean
from scipy.stats.mstats import winsorize
from sklearn.metrics import accuracy_score


def metric(path: Path) -> float:
    return of_table(pd.read_parquet(path))


def of_table(table: pd.DataFrame) -> float:
    if "score" in table:
        x, y = table["score"], table["label"]
        return 0.0 if np.ptp(x) == 0 else (pearsonr(x, y)[0] + spearmanr(x, y)[0]) / 2
    return accuracy_score(table["label"], table.filter(like="logit_").to_numpy().argmax(axis=1))


def check_unseen(results: Path, table: pd.DataFrame) -> None:
    """Hold the means without examples that share a text with train against splits and predictions."""
    for task in table.index.unique("task"):
        data = results / "data" / task
        if "report_seen_in_train" not in json.loads((data / "manifest.json").read_text()):
            continue  # an older version's
        splits = [pd.read_parquet(data / f"{split}.parquet").set_index("id") for split in ("train", "select", "report")]
        plain = [own.filter(like="text_").map(lambda text: " ".join(text.lower().split())).stack() for own in splits]
        shared = plain[2].isin([*plain[0], *plain[1]]).groupby(level=0).any()
        for system, row in table.loc[task].iterrows():
            files = (results / "runs" / task / system).glob("seed-*/predictions.parquet")
            left = [of_table(own[~own["id"].map(shared)]) for own in map(pd.read_parquet, files)]
            assert row["mean_unseen"] == pytest.approx(np.mean(left), abs=1e-9), (task, system)
            assert row["n_unseen_examples"] == (~shared).sum()


def parts(results: Path, task: str, system: str) -> dict[str, dict[str, int]]:
    """Training FLOPs by part of a system's runs."""
    found = (results / "runs" / task / system).glob("seed-*/run.json")
    return {path.parent.name: json.loads(path.read_text())["cost"]["train_flops_parts"] for path in found}


def check_costs(results: Path, table: pd.DataFrame) -> None:
    """Hold shared FLOPs, and those of the searches over merges, against the parts that the runs record."""
    recorded = {key: parts(results, *key) for key in table.index if key[1] != "search.merges"}
    uses = Counter(name for runs in recorded.values() for own in runs.values() for name in own)
    shared = {
        key: np.mean([sum(flops / uses[name] for name, flops in own.items()) for own in runs.values()])
        for key, runs in recorded.items()
    }
    for (task, system), row in table.iterrows():
        merges = [key for key in recorded if key[0] == task and key[1].startswith("merge.")]
        if system == "search.merges":
            seeds = {seed for key in merges for seed in recorded[key]} - {"seed-all"} or {"seed-all"}
            spent = []
            for seed in seeds:
                runs = [recorded[key].get(seed, recorded[key].get("seed-all", {})) for key in merges]
                spent.append(sum({name: flops for own in runs for name, flops in own.items()}.values()))
            assert row["train_flops"] == pytest.approx(np.mean(spent)), task
            assert row["train_flops_shared"] == pytest.approx(sum(shared[key] for key in merges)), task
            best = table.loc[task][table.loc[task]["chosen"] == True].iloc[0]  # noqa: E712 - empty cells too
            for name in ("mean", "delta_vs_reference", "inference_flops", "parameters", "n_seeds"):
                assert row[name] == best[name], (task, name)
            assert pd.isna(row["verdict"]) and pd.isna(row["p_value"])
        else:
            assert row["train_flops_shared"] == pytest.approx(shared[task, system]), (task, system)
        rivals = table.loc[task].query("kind != 'oracle'")
        better = rivals.query("mean >= @row['mean'] and train_flops <= @row['train_flops']")
        better = better[better["inference_flops"] <= row["inference_flops"]]
        same = ["mean", "train_flops", "inference_flops"]
        ahead = row["kind"] != "oracle" and (better[same] == row[same]).all(axis=None)
        assert row["pareto"] == ahead, (task, system)


def of_one_answer(path: Path) -> float:
    """The metric of the best single answer for all examples."""
    table = pd.read_parquet(path)
    return 0.0 if "score" in table else table["label"].value_counts(normalize=True).max()


def paired(own: dict[str, float], other: dict[str, float]) -> np.ndarray:
    """Both systems' metrics by seed, [2, n]; a run for all seeds is that of each."""
    seeds = [s for s in (other if "seed-all" in own else own) if s in other or "seed-all" in other]
    return np.array([[of.get(s, of.get("seed-all")) for s in seeds] for of in (own, other)])


def by_student(differences: np.ndarray) -> float:
    """The error of a trimmed mean by Yuen's formula."""
    left = len(differences) - 2 * (len(differences) // 5)
    squares = winsorize(differences, (0.2, 0.2)).data.var() * len(differences)
    return float(np.sqrt(squares / (left * (left - 1))))


def check(results: Path) -> int:
    """Hold every row against its runs; returns how many there are."""
    table = pd.read_csv(results / "tables" / "comparison.csv").set_index(["task", "system"])
    check_costs(results, table)
    table = table[table["kind"] != "search"]
    values, flops, floors = {}, {}, {}
    for (task, system), _ in table.iterrows():
        folders = sorted((results / "runs" / task / system).glob("seed-*/run.json"))
        values[task, system] = {f.parent.name: metric(f.parent / "predictions.parquet") for f in folders}
        flops[task, system] = np.mean([json.loads(f.read_text())["cost"]["train_flops"] for f in folders])
        floors[task] = of_one_answer(folders[0].parent / "predictions.parquet")
    pair = next(name.rsplit(".", 1)[1] for _, name in table.index if name.startswith("merge."))
    small, large = (f"finetune.{name}" for name in pair.split("-into-"))
    for (task, system), row in table.iterrows():
        own, reference = values[task, system], values[task, large]
        known = [*own.values()]
        assert row["mean"] == pytest.approx(np.mean(known), abs=1e-9), (task, system)
        assert row["typical"] == pytest.approx(trim_mean(known, 0.2), abs=1e-9), (task, system)
        assert row["n_seeds"] == len(own)
        failed = sum(value <= floors[task] + 1e-9 for value in known)
        high = binomtest(failed, len(own), alternative="less").proportion_ci(0.95, "exact").high
        assert (row["failed"], row["failed_high"]) == (failed, pytest.approx(high)), (task, system)
        assert row["floor"] == pytest.approx(floors[task])
        differences = np.subtract(*paired(own, reference))
        delta = trim_mean(differences, 0.2)
        assert row["delta_vs_reference"] == pytest.approx(delta, abs=1e-9), (task, system)
        assert row["train_flops_ratio"] == pytest.approx(flops[task, system] / flops[task, large]), (task, system)
        other = system.rpartition(".")[2].split("-into-")[0]
        small_values = values[task, f"finetune.{other}" if system.startswith("control.other") else small]
        if system.startswith(("merge.", "control.other")):
            expected = trim_mean(np.subtract(*paired(own, small_values)), 0.2)
            assert row["delta_vs_small"] == pytest.approx(expected, abs=1e-9), system
        few = len(reference if "seed-all" in own else own) < 5 or system.startswith("soup.")
        assert np.isnan(row["ci_low"]) == few, (task, system)
        assert few or row["ci_low"] <= row["mean"] <= row["ci_high"], (task, system)
        assert few or row["delta_ci_low"] <= delta <= row["delta_ci_high"], (task, system)
        # An interval for new seeds and examples is no shorter than 1.96 errors over seeds on either side.
        shorter = few or row["delta_ci_high"] - delta < 1.959 * by_student(differences) - 1e-9
        assert few or not shorter or row["delta_ci_high"] == 1, (task, system)
    check_unseen(results, table)
    tests = pd.read_csv(results / "tables" / "significance.csv")
    for row in tests.itertuples():
        pairs = paired(values[row.task, row.system], values[row.task, row.other])
        assert row.difference == pytest.approx(trim_mean(np.subtract(*pairs), 0.2), abs=1e-9), row
        single = [of.startswith("soup.") for of in (row.system, row.other)]
        few = pairs.shape[1] < 5 or any(single)
        assert np.isnan(row.p_improvement) == np.isnan(row.aso_epsilon) == few, row
        if not few:
            wins = mannwhitneyu(*pairs).statistic / pairs.shape[1] ** 2
            assert row.p_improvement == pytest.approx(wins) and 0 <= row.aso_epsilon <= 1, row
            assert row.p_improvement_low <= wins <= row.p_improvement_high, row
    return len(table)


if __name__ == "__main__":
    print(f"{check(Path(sys.argv[1]))} rows of comparison.csv are what the predictions say")
