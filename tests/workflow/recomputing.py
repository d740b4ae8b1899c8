"""The tables of a study from nothing but predictions.parquet and run.json, by pandas and scipy alone.

`python -m tests.workflow.recomputing results/STUDY` does it for any finished study, or for an archive of one.
"""

import json
import math
import re
import sys
import tempfile
import zipfile
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
    """Hold the means without examples that share a text with train against splits, or their record, and predictions."""
    for task in table.index.unique("task"):
        data = results / "data" / task
        recorded = json.loads((data / "manifest.json").read_text())
        if "report_seen_in_train" not in recorded:
            continue  # an older version's
        # An archive has no texts: there the record is all that there is.
        seen = shared_rows(data) if (data / "train.parquet").is_file() else recorded["report_seen_in_train"]
        assert sorted(seen) == sorted(recorded["report_seen_in_train"]), task
        for system, row in table.loc[task].iterrows():
            files = (results / "runs" / task / system).glob("seed-*/predictions.parquet")
            left = [own[~own["id"].isin(seen)] for own in map(pd.read_parquet, files)]
            assert row["mean_unseen"] == pytest.approx(np.mean([*map(of_table, left)]), abs=1e-9), (task, system)
            assert row["n_unseen_examples"] == len(left[0])


def shared_rows(data: Path) -> list[str]:
    """Ids of the rows of report that share a text with train or select."""
    splits = [pd.read_parquet(data / f"{split}.parquet").set_index("id") for split in ("train", "select", "report")]
    plain = [own.filter(like="text_").map(lambda text: " ".join(text.lower().split())).stack() for own in splits]
    shared = plain[2].isin([*plain[0], *plain[1]]).groupby(level=0).any()
    return [*shared.index[shared]]


def parts(results: Path, task: str, system: str) -> dict[str, dict[str, int]]:
    """Training FLOPs by part of a system's runs."""
    found = (results / "runs" / task / system).glob("seed-*/run.json")
    return {path.parent.name: json.loads(path.read_text())["cost"]["train_flops_parts"] for path in found}


def kinds(results: Path) -> dict[tuple[str, str], str]:
    """The kind of every system with runs, by task and name."""
    runs = pd.read_csv(results / "tables" / "runs.csv").query("state == 'done'")
    return dict(zip(zip(runs["task"], runs["system"], strict=True), runs["kind"], strict=True))


def labels_of(name: str) -> str:
    """The labels that a system, or the systems of a scenario, see: `few-<n>`, `no-labels`, or nothing for all."""
    if found := re.fullmatch(r"few-labels-(\d+)", name):
        return f"few-{found[1]}"
    found = re.search(r"[.](few-\d+|no-labels)[.]", name)
    return found[1] if found else "no-labels" if name == "label-free" else ""


def check_costs(results: Path, table: pd.DataFrame) -> None:
    """Hold shared FLOPs, and those of the searches over merges, against the parts that the runs record."""
    recorded = {key: parts(results, *key) for key in kinds(results)}
    uses = Counter(name for runs in recorded.values() for own in runs.values() for name in own)
    shared = {
        key: np.mean([sum(flops / uses[name] for name, flops in own.items()) for own in runs.values()])
        for key, runs in recorded.items()
    }
    for (task, system), row in table.iterrows():
        merges = [key for key in recorded if key[0] == task and key[1].startswith("merge.") and not labels_of(key[1])]
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


def prices(results: Path, task: str, small: str, scenario: str) -> pd.DataFrame:
    """Score on select, and training FLOPs and inference FLOPs in a scenario, of the systems that it admits."""
    given, labels = scenario != "from-scratch", labels_of(scenario)
    free = parts(results, task, f"finetune.{small}") if given else {}
    free["seed-all"] = {name: flops for own in free.values() for name, flops in own.items()}
    rows = {}
    for (where, system), kind in kinds(results).items():
        is_small = system == f"finetune.{small}"
        if where != task or (labels_of(system) != labels and not is_small):
            continue
        paths = (results / "runs" / task / system).glob("seed-*/run.json")
        made = {path.parent.name: json.loads(path.read_text()) for path in paths}
        costs = []
        for seed, run in made.items():
            own = run["cost"]["train_flops_parts"]
            costs.append(run["cost"]["train_flops"] - sum(own[name] for name in own.keys() & free.get(seed, {}).keys()))
        inference = np.mean([run["cost"]["inference_flops"] for run in made.values()])
        selects = [run["select"]["value"] if run["select"] else -np.inf for run in made.values()]
        select = np.inf if is_small and labels == "no-labels" else np.mean(selects)
        rows[system] = {"kind": kind, "select": select, "train": np.mean(costs), "inference": inference}
    return pd.DataFrame.from_dict(rows, orient="index")


def taken(points: list[tuple[float, float]], goal: float) -> float:
    """The cost at which the best of (cost, metric) reaches a goal, along straight lines over the cost's logarithm."""
    best, last = -math.inf, 0.0
    for cost, value in sorted(points, key=lambda point: (point[0], -point[1])):
        if value >= goal - 1e-12:
            return math.exp(np.interp(goal, [best, value], [math.log(last), math.log(cost)])) if last else cost
        best, last = max(best, value), cost
    return math.nan


def of_choices(results: Path, task: str, system: str) -> float:
    """The standard error of a system's mean score on the rows by which it chose, half of its few labels."""
    runs = [json.loads(path.read_text()) for path in results.glob(f"runs/{task}/{system}/seed-*/run.json")]
    primary = [run["metrics"][run["primary_metric"]] for run in runs]
    rows = int(labels_of(system).removeprefix("few-")) // 2 * len(runs)
    return float(np.mean([one["stderr"] for one in primary]) * np.sqrt(primary[0]["n"] / rows))


def check_matched(results: Path) -> None:
    """Hold matched.csv and answer.csv against runs: what each costs, which rival it has, and what follows from it."""
    values = {key: metrics(results, *key) for key in kinds(results)}
    found = pd.read_csv(results / "tables" / "matched.csv")
    answers = pd.read_csv(results / "tables" / "answer.csv").set_index(["task", "scenario"])
    classical = re.compile(r"(finetune|budget|probe|lora|distil|weak-to-strong|ensemble)[.].*|majority")
    for (scenario, task), rows in found.groupby(["scenario", "task"]):
        held = [name for own, name in values if own == task and re.match(r"(merge|control)[.].*-into-", name)]
        held = [name for name in held if labels_of(name) == labels_of(scenario)]
        assert sorted(rows.loc[rows["inference_limit"] == "own", "system"]) == sorted(held), (scenario, task)
        for row in rows.itertuples():
            small, large = row.system.rpartition(".")[2].split("-into-")
            known = prices(results, task, small, scenario)
            usable = known[known.index.str.fullmatch(classical.pattern) & (known["kind"] != "control")]
            own = known.loc[row.system]
            assert (row.train_flops, row.inference_flops) == (pytest.approx(own["train"]), own["inference"]), row
            limits = {"own": own["inference"], "any": np.inf}
            tuned = known[known["kind"] == "finetune"]
            for role, model in (("small", small), ("large", large)):
                of_model = tuned.index.str.fullmatch(rf"(finetune|weak-to-strong)[.].*{model}")
                limits[role] = tuned.loc[of_model, "inference"].min()
            limit = limits[row.inference_limit]
            merges = known[known["kind"].isin(["weights", "composite"]) & (known["inference"] <= limit)]
            assert row.inference_limit == "own" or own["select"] == merges["select"].max(), row
            able = usable[(usable["train"] <= own["train"]) & (usable["inference"] <= limit)]
            scores = able["select"].where(able.index != "majority", -1e9)
            if scenario == "label-free":
                scores = pd.Series({name: np.mean([*values[task, name].values()]) for name in able.index})
            able = able.assign(rank=scores)
            able = able.sort_values(["rank", "train"], ascending=[False, True])
            assert pd.isna(row.rival) == able.empty and row.n_rivals == len(able)
            if not able.empty:
                rival, best = able.loc[row.rival], able.iloc[0]
                assert (rival["rank"], rival["train"]) == (best["rank"], best["train"]), row
                assert row.rival_train_flops == pytest.approx(rival["train"]) and rival["train"] <= own["train"]
                assert row.rival_inference_flops == rival["inference"] <= limit
                pairs = paired(values[task, row.system], values[task, row.rival])
                assert row.difference == pytest.approx(trim_mean(np.subtract(*pairs), 0.2), abs=1e-9), row
                assert row.n_seeds == pairs.shape[1] and (row.n_seeds >= 12 or np.isnan(row.p_value))
                # An interval has no width only where both systems answer alike with every seed.
                assert row.new_low < row.new_high or row.difference == 0 or np.isnan(row.new_low), row
            if own["kind"] != "control":
                alone = usable[usable.index.str.endswith(f".{large}") & ~usable.index.str.startswith("ensemble.")]
                means = {name: np.mean([*values[task, name].values()]) for name in [*alone.index, row.system]}
                flops = taken([(alone.loc[name, "train"], means[name]) for name in alone.index], means[row.system])
                ratio = (row.reach_flops, row.reach_ratio) if own["train"] else (row.reach_flops, np.nan)
                assert ratio == pytest.approx((flops, flops / own["train"]), nan_ok=True), row
        tests = rows[rows["p_holm"].notna()].drop_duplicates(["system", "rival"])
        use, known = answers.loc[(task, scenario)], prices(results, task, small, scenario)
        usable = known[(known["kind"] != "control") & known.index.str.fullmatch(rf"{classical.pattern}|merge[.].*")]
        best, given = usable["select"].idxmax(), usable.loc[f"finetune.{small}"]
        if labels_of(best).startswith("few-"):
            ahead = usable.loc[best, "select"] - given["select"]
            error = of_choices(results, task, best)
            best = best if ahead > 2 * error else f"finetune.{small}"
        assert usable.loc[use["use"], "select"] == usable.loc[best, "select"], (task, scenario)
        assert set(tests["kind"]) <= {"weights", "composite"}
        assert use["mean"] == pytest.approx(np.mean([*values[task, use["use"]].values()]), abs=1e-9)
        assert use["train_flops"] == pytest.approx(usable.loc[use["use"], "train"])
    for _, rows in found.groupby("scenario"):
        tests = rows[rows["p_holm"].notna()].copy()
        times = np.where(tests["difference"] > 0, 1, tests["n_rivals"])
        tests["p_worst"] = (tests["p_value"] * times).clip(upper=1)
        tests = tests.sort_values("p_worst").drop_duplicates(["task", "system", "rival"], keep="last")
        holm = (tests["p_worst"] * np.arange(len(tests), 0, -1)).cummax().clip(upper=1)
        assert tests["p_holm"].to_numpy() == pytest.approx(holm.to_numpy())
        shown, equal = (
            tests["p_holm"] <= 0.05,
            tests["inner_low"].gt(-tests["margin"]) & (tests["inner_high"] < tests["margin"]),
        )
        words = np.where(shown, np.where(tests["difference"] > 0, "better", "worse"), "inconclusive")
        assert (tests["verdict"] == np.where(~shown & equal, "equivalent", words)).all()


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


def metrics(results: Path, task: str, system: str) -> dict[str, float]:
    """The primary metric of a system's finished runs."""
    runs = (results / "runs" / task / system).glob("seed-*/run.json")
    return {path.parent.name: metric(path.with_name("predictions.parquet")) for path in sorted(runs)}


def check(results: Path) -> int:
    """Hold every row against its runs, in a folder or an archive; returns how many there are."""
    if results.is_file():
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(results) as archive:
            archive.extractall(folder)
            return check(Path(folder))
    table = pd.read_csv(results / "tables" / "comparison.csv").set_index(["task", "system"])
    check_costs(results, table)
    table = table[table["kind"] != "search"]
    values, flops, floors = {}, {}, {}
    for (task, system), _ in table.iterrows():
        folders = sorted((results / "runs" / task / system).glob("seed-*/run.json"))
        values[task, system] = metrics(results, task, system)
        flops[task, system] = np.mean([json.loads(f.read_text())["cost"]["train_flops"] for f in folders])
        floors[task] = of_one_answer(folders[0].parent / "predictions.parquet")
    pair = next(name.rsplit(".", 1)[1] for _, name in table.index if name.startswith("merge."))
    large = f"finetune.{pair.split('-into-')[1]}"
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
        if system.startswith(("merge.", "control.other")):
            small = system.rpartition(".")[2].split("-into-")[0]
            expected = trim_mean(np.subtract(*paired(own, values[task, f"finetune.{small}"])), 0.2)
            assert row["delta_vs_small"] == pytest.approx(expected, abs=1e-9), system
        few = len(reference if "seed-all" in own else own) < 5 or system.startswith("soup.")
        assert np.isnan(row["ci_low"]) == few, (task, system)
        assert few or row["ci_low"] <= row["mean"] <= row["ci_high"], (task, system)
        assert few or row["delta_ci_low"] <= delta <= row["delta_ci_high"], (task, system)
        # An interval for new seeds and examples is no shorter than 1.96 errors over seeds on either side.
        shorter = few or row["delta_ci_high"] - delta < 1.959 * by_student(differences) - 1e-9
        assert few or not shorter or row["delta_ci_high"] == 1, (task, system)
    check_unseen(results, table)
    check_matched(results)
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
