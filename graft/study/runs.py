"""What a system-making program reads and writes: labelled splits in, build.json out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from graft.compute import hardware, provenance
from graft.config.launch import Launch
from graft.config.models import FineTuning
from graft.io import files
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.tasks import alike
from graft.tasks.texts import read_texts
from graft.tasks.tokens import TokenisedSplit, load_tokenizer
from graft.training.finetuning import Labelled


def read_made(path: Path, fingerprint: str) -> dict[str, Any]:
    """A manifest.json or build.json; raises ValueError if it was not made by the config that asks for it."""
    if not path.is_file():
        raise ValueError(f"{path}: missing; run snakemake again")
    made = files.read_json(path)
    if made["fingerprint"] != fingerprint:
        raise ValueError(f"{path}: made by another config ({made['fingerprint']}, not {fingerprint}); delete it")
    return made


def made_model(grid: Grid, paths: Paths, task: str, system: str, seed: int | str) -> tuple[Path, dict[str, Any]]:
    """Model folder of a finished system, its files checked against its build.json, and that.

    Raises ValueError where another config made it, or a file was changed or not kept.
    """
    folder = paths.run(task, system, seed)
    built = read_made(folder / "build.json", grid.made(task, system, seed))
    for name, expected in built["model_sha256"].items():
        path = folder / "model" / name
        if not path.is_file():
            raise ValueError(f"{path}: not kept; delete {folder / 'build.json'} and run snakemake again")
        if files.sha256(path) != expected:
            raise ValueError(f"{path}: changed since {folder / 'build.json'} was written; delete that")
    return folder / "model", built


def model_folder(grid: Grid, paths: Paths, model: str) -> Path:
    """Folder of a pre-trained model, checked."""
    read_made(paths.model(model) / "manifest.json", grid.model(model))
    return paths.model(model)


def pretraining_flops(grid: Grid, paths: Paths, model: str) -> int:
    """FLOPs of making a pre-trained model here; 0 for a published one."""
    return read_made(paths.model(model) / "manifest.json", grid.model(model))["pretraining_flops"]


def tokens(grid: Grid, paths: Paths, task: str, model: str, split: str) -> TokenisedSplit:
    """A split of a task in the ids of a model's tokenizer; raises ValueError if its own would read otherwise."""
    tokenizer = grid.study.tokenizer_of(model)
    alike.check_alike(paths.model(tokenizer), paths.model(model))
    read_made(paths.tokens(task, tokenizer) / "manifest.json", grid.tokens(task, tokenizer))
    return TokenisedSplit.load(paths.tokens(task, tokenizer), split)


def calibration_tokens(grid: Grid, paths: Paths, task: str, model: str) -> TokenisedSplit:
    """Unlabelled texts on which a pair is compared, in the ids of a model's tokenizer: the study's file, or train."""
    path = grid.study.calibration.file
    if path is None:
        return tokens(grid, paths, task, model, "train")
    tokenizer = load_tokenizer(paths.model(grid.study.tokenizer_of(model)))
    return TokenisedSplit.of_texts(tokenizer, read_texts(path), str(path))


def labels(paths: Paths, task: str, split: str) -> Any:
    """Labels [rows] of `train` or `select`: class ids or scores. The labels of `report` are evaluate's alone."""
    return pd.read_parquet(paths.data(task) / f"{split}.parquet", columns=["label"])["label"].to_numpy()


def labelled(grid: Grid, paths: Paths, task: str, model: str, split: str) -> Labelled:
    """`train` or `select` with labels."""
    return Labelled(tokens(grid, paths, task, model, split), labels(paths, task, split))


def chosen_settings(grid: Grid, paths: Paths, task: str, model: str) -> tuple[FineTuning, dict[str, int], dict | None]:
    """Hyperparameters of a model's fine-tuning: as the study says, or the best of its trials by the mean over their
    seeds of the primary metric on `select`; with the parts of the trials' FLOPs and the record of the choice."""
    settings, flops = grid.study.models[model].finetune[task], {}
    if not settings.grid:
        return settings, flops, None
    scores: dict[str, list[float]] = {}
    for name, seed in grid.trials(task, model):
        made = read_made(paths.run(task, name, seed) / "build.json", grid.made(task, name, seed))
        flops |= made["train_flops_parts"]
        scores.setdefault(name, []).append(made["select"]["value"])
    means = {name: float(np.mean(values)) for name, values in scores.items()}
    best = max(means, key=lambda name: means[name])
    named = {name: name.removeprefix(f"trial.{model}.") for name in means}
    choice = {
        "name": "hyperparameters",
        "metric": grid.row(task).primary_metric,
        "chosen": named[best],
        "searched": [{"value": named[name], "score": score} for name, score in means.items()],
    }
    return settings.with_choice(**grid.systems[best].settings.model_dump()), flops, choice


def save_system(
    out: Path,
    args: argparse.Namespace,
    *,
    system: str,
    flops: dict[str, int],
    pretraining_flops: int,
    hyperparameters: dict[str, Any],
    choices: list[dict[str, Any]],
    select: dict[str, Any] | None,
    launch: Launch,
    started: hardware.Stopwatch,
    diagnostics: dict[str, float] | None = None,
) -> None:
    """Write build.json beside a finished `model/`; it names the model's files by sha256, so it is written last.

    `flops`: parts of the training FLOPs by a name that is unique in the study; `diagnostics`: what the method found out
    about itself. `started`: of the job.
    """
    model = sorted(path for path in (out / "model").iterdir() if path.suffix in (".safetensors", ".json"))
    files.write_json(
        out / "build.json",
        {
            "fingerprint": args.fingerprint,
            "task": args.task,
            "system": system,
            "seed": args.seed,
            "train_flops_parts": flops,
            "pretraining_flops": pretraining_flops,
            "hyperparameters": hyperparameters,
            "choices": choices,
            "select": select,
            "diagnostics": diagnostics or {},
            "provenance": provenance.of_making(launch),
            "measured": started.measured(),
            "model_sha256": {path.name: files.sha256(path) for path in model},
        },
    )
