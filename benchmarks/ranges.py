"""Which strengths and ridges win on `select` of tasks that no table reports, over ranges wider than those of configs.

The demo's pair, and its tasks generated anew, with seeds from 100 on; and, where GRAFT_GLUE names real GLUE, rows of
SST-2's and STS-B's published train split that config/glue-small.yaml reads neither as train nor as select. Every merge
has a labelled head; report is not looked at. Printed: for each method and setting of its ridges, over all tasks, the
mean gain over the head alone at every strength (the ridge of the head being the best one there), and which strength
wins on each task; after the last, each method's best settings by that mean.

    python -m benchmarks.ranges [--seed 100] [--rows 500] [--cores 2] [--keep FOLDER] [--tasks NAME ...]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from graft.config import study as studies
from graft.config.tasks import Task
from graft.io import files
from graft.io.strict_yaml import read_yaml
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.tasks.prepare import read_splits
from graft.tasks.readers import read_table

ROOT = Path(__file__).resolve().parents[1]
GLUE = os.environ.get("GRAFT_GLUE")
# Published tasks and what the generated one of their kind is called in the demo.
REAL = {"sst2": "sentiment", "stsb": "similarity"}
# Rows read, of which a tenth at most is select; fewer are left of STS-B.
READ = 2000
WIDE, MIXED = (0, 0.5, 1, 2, 3, 4, 6), (0, 0.1, 0.25, 0.5, 0.75, 1)
SETTINGS: dict[str, tuple[tuple[float, ...], list[dict[str, Any]]]] = {
    "theseus": (WIDE, [{}, {"centred": True, "layernorm": "leave", "depth": "uniform"}]),
    "spacewise": (
        WIDE,
        [{"depth": "spread", "map_ridge": ridge} for ridge in (1e-3, 0.01, 0.1, 1)]
        + [{"depth": "spread", "alignment": "whitened", "map_ridge": 0.1}],
    ),
    "functional": (
        (0, 0.5, 1, 2, 3),
        [{"text_tokens": 2000, "fit_ridge": fit, "map_ridge": 0.03} for fit in (0.01, 0.1, 1)]
        + [{"text_tokens": 2000, "fit_ridge": 0.1, "map_ridge": 0.3}],
    ),
    "grow": (MIXED, [{}]),
    "ot_fusion": (MIXED, [{}, {"alignment": "assignment"}]),
}
Scores = dict[float, float]


def unread(name: str, folder: Path) -> dict[str, Any]:
    """Write rows of a published train split that glue-small does not read; returns their source."""
    source = {"kind": "parquet", "folder": str(folder)}
    if folder.is_dir():  # kept
        return source
    task = Task.model_validate(read_yaml(ROOT / "config" / "glue-small.yaml")["tasks"][name])
    splits, carving, published = read_splits(name, task, task.source)
    read = {text for split in ("train", "select") for text in splits[split]["id"]}
    left = [n for n in range(published) if f"train-{n}" not in read and n not in set(carving.dropped)]
    _, table = read_table(task.source, "train", name)
    chosen = np.sort(np.random.default_rng(100).choice(left, min(READ + 50, len(left)), replace=False))
    folder.mkdir(parents=True)
    for split, own in (("train", chosen[50:]), ("dev", chosen[:50])):
        table.iloc[own].to_parquet(folder / f"{split}.parquet")
    return source


def config_of(seed: int, rows: int, wanted: list[str], folder: Path) -> dict[str, Any]:
    """The demo's study of other tasks, with all settings as merges."""
    values = read_yaml(ROOT / "config" / "demo.yaml")
    for task in values["tasks"].values():
        task["source"] |= {"seed": seed, "train": READ, "dev": 50}
        task["limits"] = {"train": rows, "select": READ // 10}
        task.pop("seeds", None)
    for name, like in REAL.items() if GLUE else ():
        values["tasks"][name] = {"source": unread(name, folder / name), "limits": {"train": rows, "select": READ // 10}}
        for model in values["models"].values():
            if "finetune" in model:
                model["finetune"][name] = model["finetune"][like]
    kept = {name: model for name, model in values["models"].items() if name in ("minilm", "small")}
    for model in kept.values():
        model["finetune"] = {name: model["finetune"][name] for name in values["tasks"]}
    common = {"heads": ["labelled"], "fit_rows": 200}
    merges = {
        f"{method}-{n}": {"method": method, "strengths": list(strengths), **common, **setting}
        for method, (strengths, settings) in SETTINGS.items()
        for n, setting in enumerate(settings)
    }
    values |= {
        "name": "ranges",
        "seeds": [seed],
        "models": kept,
        "systems": {"merge": merges},
        "cost": {"measure": False},
    }
    return values | {"include": [f"{task}/merge.*" for task in wanted], "exclude": [], "keep": []}


def curve(grid: Grid, paths: Paths, task: str, merge: str) -> Scores:
    """The score on `select` at every strength, with the ridge of the head that is best there."""
    (system,) = [system for system in grid.systems.values() if system.merge == merge]
    choices = files.read_json(paths.run(task, system.name, grid.study.seeds[0]) / "run.json")["choices"]
    (searched,) = [choice["searched"] for choice in choices if choice["name"] == "strength"]
    found: Scores = {}
    for point in searched:
        score = point["score"] if point["score"] is not None else -1.0
        found[point["value"]] = max(found.get(point["value"], -1.0), score)
    return found


def report(grid: Grid, paths: Paths) -> None:
    """Print gains over the head alone and winners, setting by setting, and the best settings."""
    tasks, best = list(dict.fromkeys(run.task for run in grid.runs)), defaultdict(list)
    for merge, way in grid.merges.items():
        curves = {task: curve(grid, paths, task, merge) for task in tasks}
        gains = {s: fmean(own[s] - own[0] for own in curves.values()) for s in curves[tasks[0]]}
        given = SETTINGS[way.method][1][int(merge.rpartition("-")[2])]
        named = ", ".join(f"{name} {value}" for name, value in given.items() if name != "text_tokens")
        print(f"\n{way.method}{f' ({named})' if named else ''}")
        print("  gain at strength  " + "  ".join(f"{s:g}: {gain:+.3f}" for s, gain in gains.items()))
        won = {task: max(own, key=own.__getitem__) for task, own in curves.items()}
        print("  wins              " + "  ".join(f"{task} {s:g} ({curves[task][s]:.3f})" for task, s in won.items()))
        mean = fmean(max(own.values()) - own[0] for own in curves.values())
        best[way.method].append((mean, named or "default", sorted(set(won.values()))))
    print("\nmean gain at the best strength of each task, settings from the best down")
    for method, found in best.items():
        for mean, named, won in sorted(found, key=lambda one: -one[0]):
            print(f"  {method:<11}{mean:+.3f}  {named}; winners {', '.join(f'{s:g}' for s in won)}")


def run(args: argparse.Namespace, folder: Path) -> None:
    values = config_of(args.seed, args.rows, args.tasks, folder)
    (folder / "config.json").write_text(json.dumps(values))
    asked = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", str(args.cores)]
    asked += ["--profile", str(ROOT / "profiles" / "local"), "--directory", str(folder)]
    asked += ["--configfile", str(folder / "config.json"), "--until", "gather"]
    with (folder / "snakemake.log").open("w") as log:
        code = subprocess.run(asked, stdout=log, stderr=log).returncode
    if code:
        sys.exit(f"snakemake ended with {code}; see {folder / 'snakemake.log'}")
    report(Grid(studies.parse(values)), Paths(folder / "results" / "ranges"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=100, help="of grammars and fine-tunings")
    parser.add_argument("--rows", type=int, default=500, help="of train; select has 200, of STS-B about 90")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="a folder to run in, instead of one that is deleted")
    parser.add_argument(
        "--tasks", nargs="+", default=["*"], help="only these: sentiment, similarity, entailment, sst2, stsb"
    )
    args = parser.parse_args()
    if args.keep:
        args.keep.mkdir(parents=True, exist_ok=True)
        return run(args, args.keep.resolve())
    with tempfile.TemporaryDirectory() as folder:
        run(args, Path(folder))


if __name__ == "__main__":
    main()
