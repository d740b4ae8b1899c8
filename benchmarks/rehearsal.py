"""The default study at its real shapes and on few rows: what it costs beside its computing.

    python -m benchmarks.rehearsal [--rows 96] [--cores 2] [--keep FOLDER] [--include PATTERN ...]

A stand-in for the hub serves BERT-base and TinyBERT with random weights, in the hub's own files, and RTE generated in
GLUE's form. config.yaml runs from it to the report: all systems of one task with one seed (without encoders of several
tasks), with two epochs of every fine-tuning, few steps of pre-training and a short measurement. Printed: per kind of
step its number, its computing (as its log says), its share and peak memory; jobs; the wall time, and what of it was no
computing; disk at its peak and at the end; planned against recorded FLOPs.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from graft.config import study as studies
from graft.io import files
from graft.io.strict_yaml import read_yaml
from graft.planning.sizes import sizes_of
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps import graph
from graft.tasks import generated
from tests.unit.hub import serving, write_rte, write_tinybert

ROOT = Path(__file__).resolve().parents[1]
TASK, VOCABULARY = "rte", 30522
# What a program says of a step that it has done.
_DONE = re.compile(r"^(?:\[\d+/\d+\] )?(\w+) .*: ([\d.]+) s$", re.MULTILINE)
# Repositories in both of its layouts: with one projection for all states, and with one for each.
TINYBERTS = {"huawei-noah/TinyBERT_General_4L_312D": False, "huawei-noah/TinyBERT_4L_zh": True}
SHAPES = {"bert-base": (12, 768, 12, 3072), "tinybert": (4, 312, 12, 1200)}


def write_hub(root: Path, rows: int) -> None:
    """Write both models and the task as the hub has them."""
    import torch
    from transformers import BertConfig, BertForPreTraining, BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    (root / "tsv").mkdir(parents=True)
    # The hub's train split, of which `select` takes a part.
    generated.write("entailment", 0, 2 * rows, rows, root / "tsv")
    for split in ("train", "dev"):
        text = (root / "tsv" / f"{split}.tsv").read_text().lower().replace(".", " ").replace(",", " ")
        words += [word for word in dict.fromkeys(text.split()) if word not in words]
    words += [f"[unused{number}]" for number in range(VOCABULARY - len(words))]
    for name, (layers, width, heads, ffn) in SHAPES.items():
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=VOCABULARY,
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=ffn,
        )
        folder = root / "plain" / name
        model = BertForPreTraining(config)
        model.bert.save_pretrained(folder)
        (folder / "vocab.txt").write_text("\n".join(words) + "\n")
        BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
        if name == "bert-base":
            # Published twice, in both forms of weights.
            published = root / "models" / "google-bert" / "bert-base-uncased"
            shutil.copytree(folder, published)
            torch.save(model.state_dict(), published / "pytorch_model.bin")
    for repo, own in TINYBERTS.items():
        write_tinybert(root / "models" / repo, root / "plain" / "tinybert", own, SHAPES["bert-base"][1])
    write_rte(root / "datasets" / "nyu-mll" / "glue" / TASK, root / "tsv")


def config_of(rows: int, include: list[str]) -> dict[str, Any]:
    """The default study, of one task and one seed and on few rows."""
    values = read_yaml(ROOT / "config.yaml") | {"name": "rehearsal", "seeds": [0], "include": include}
    values["tasks"] = {TASK: {**values["tasks"][TASK], "limits": {"train": rows, "select": rows // 5, "report": rows}}}
    for model in values["models"].values():
        if "finetune" in model:
            model["finetune"] = {TASK: {**model["finetune"][TASK], "epochs": 2}}
    values["models"]["undistilled"]["source"]["options"] |= {"steps": 4, "batch_size": 8}
    # One task has no encoder of several, one seed no ensemble of two.
    for several in ("multitask", "joint", "ensemble"):
        del values["systems"][several]
    del values["systems"]["control"]["wrong-task"]
    values["statistics"]["margins"] = {TASK: values["statistics"]["margins"][TASK]}
    values["launch"] |= {"device": "cpu", "precision": "fp32"}
    values["cost"] = {"texts": 16, "rounds": 1}
    return values


@contextmanager
def watched(folder: Path) -> Iterator[dict[str, int]]:
    """Measure the size of a folder every second; yields a record whose "peak" and "left" are bytes."""
    seen, done = {"peak": 0, "left": 0}, threading.Event()

    def watch() -> None:
        while not done.wait(1):
            seen["peak"] = max(seen["peak"], size_of(folder))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()
        seen["left"] = size_of(folder)


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size if path.is_file() and not path.is_symlink() else 0
        except FileNotFoundError:  # deleted just now
            continue
    return total


def rehearse(folder: Path, rows: int, cores: int, include: list[str]) -> None:
    """Run the study in a folder, and print what it cost."""
    write_hub(folder / "hub", rows)
    values = config_of(rows, include)
    (folder / "config.json").write_text(json.dumps(values))
    grid, paths = Grid(studies.parse(values)), Paths(folder / "results" / "rehearsal")
    steps = graph.of_study(grid)
    asked = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", str(cores)]
    asked += ["--profile", str(ROOT / "profiles" / "local"), "--directory", str(folder)]
    asked += ["--configfile", str(folder / "config.json")]
    with serving(folder / "hub") as endpoint, watched(folder / "results") as disk:
        environment = {"HF_ENDPOINT": endpoint, "HF_HOME": str(folder / "cache"), "PYTHONPATH": str(ROOT)}
        started = time.perf_counter()
        with (folder / "snakemake.log").open("w") as log:
            code = subprocess.run(asked, env=os.environ | environment, stdout=log, stderr=log).returncode
        wall = time.perf_counter() - started
    if code:
        sys.exit(f"snakemake ended with {code}; see {folder / 'snakemake.log'}")
    report(grid, paths, steps, wall, cores)
    print(f"\ndisk: {disk['peak'] / 1e9:.2f} GB at its peak, {disk['left'] / 1e9:.2f} GB left; ", end="")
    print(f"the hub's cache {size_of(folder / 'cache') / 1e9:.2f} GB")


def report(grid: Grid, paths: Paths, steps: list[graph.Step], wall: float, cores: int) -> None:
    """Print jobs, computing and memory per rule, and planned against recorded FLOPs."""
    number: dict[str, int] = defaultdict(int)
    seconds: dict[str, float] = defaultdict(float)
    memory: dict[str, float] = defaultdict(float)
    recorded: dict[str, int] = {}
    for step in steps:
        number[step.rule] += 1
        output = step.output(paths)
        made = files.read_json(output) if output.suffix == ".json" and output.is_file() else {}
        measured = made.get("measured") or {}
        memory[step.rule] = max(memory[step.rule], measured.get("peak_memory_bytes", 0) / 1e9)
        recorded |= made.get("train_flops_parts", {})
    for log in paths.logs.rglob("*.log"):
        for rule, said in _DONE.findall(log.read_text()):
            seconds[rule] += float(said)
    computing = sum(seconds.values())
    print(f"{'step':<20}{'number':>7}{'computing s':>13}{'share':>8}{'peak GB':>9}")
    for rule in sorted(number, key=lambda rule: -seconds[rule]):
        share = seconds[rule] / computing
        print(f"{rule:<20}{number[rule]:>7}{seconds[rule]:>13.1f}{share:>8.1%}{memory[rule]:>9.2f}")
    spent = wall * cores
    print(f"{'all':<20}{len(steps):>7}{computing:>13.1f}")
    alone = sum(step.job(grid) is None for step in steps)
    print(f"\n{len(graph.jobs_of(grid)) + alone} jobs")
    idle = 1 - computing / spent
    print(f"\n{wall:.0f} s of wall time on {cores} cores: {idle:.0%} of {spent:.0f} s were no computing")
    sizes = sizes_of(grid, paths)
    planned = {work.name: work.flops for step in steps for work in step.work(sizes)}
    both = [name for name in recorded if name in planned]
    ratio = sum(planned[name] for name in both) / sum(recorded[name] for name in both)
    print(f"planned FLOPs of what was recorded: x{ratio:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=96, help="rows of train and of report")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="a new folder to run in, instead of one that is deleted")
    parser.add_argument("--include", nargs="+", default=["*"], help="patterns of runs, as in a config")
    args = parser.parse_args()
    if args.keep:
        args.keep.mkdir(parents=True)
        return rehearse(args.keep.resolve(), args.rows, args.cores, args.include)
    with tempfile.TemporaryDirectory() as folder:
        rehearse(Path(folder), args.rows, args.cores, args.include)


if __name__ == "__main__":
    main()
