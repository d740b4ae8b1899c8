"""Inputs and outputs of the programs that make systems: labelled splits in, build.json out."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet

from graft.compute import hardware, provenance
from graft.config.launch import Launch
from graft.config.models import FineTuning, Pair
from graft.encoders.inference import Labelled
from graft.io import files
from graft.io.workflow import COMMAND
from graft.study.grid import Grid
from graft.study.grid_systems import System
from graft.study.paths import Paths
from graft.study.steps.finetune_model import FinetuneModel
from graft.study.steps.locate_tokens import locations
from graft.study.steps.models import weights
from graft.study.steps.step import Making, Step
from graft.study.steps.tokenize_task import tokens as tokens_of
from graft.tasks import alike
from graft.tasks.spans import PairedSplit
from graft.tasks.texts import read_texts
from graft.tasks.tokens import TokenisedSplit
from graft.tasks.vocabularies import Reader


def finished(grid: Grid, paths: Paths, step: Step) -> tuple[Path, dict[str, Any]]:
    """Folder of a finished step, and the contents of its manifest.json or build.json.

    Raises ValueError if that is missing or has another fingerprint.
    """
    path, fingerprint = step.output(paths), step.fingerprint(grid)
    if not path.is_file():
        raise ValueError(f"{path}: missing; run snakemake again")
    made = files.read_json(path)
    if made["fingerprint"] != fingerprint:
        raise ValueError(f"{path}: made by another config ({made['fingerprint']}, not {fingerprint}); delete it")
    return path.parent, made


def made_model(grid: Grid, paths: Paths, step: Making) -> tuple[Path, dict[str, Any]]:
    """Model folder of a finished system, checked against its build.json, and the contents of that.

    Raises ValueError if another config made the system, or if a file was changed or not kept.
    """
    folder, built = finished(grid, paths, step)
    for name, expected in built["model_sha256"].items():
        path = folder / "model" / name
        if not path.is_file():
            asked = f"{grid.study.name} {step.task} {step.system} {step.seed}"
            raise ValueError(f"{path}: not kept; `{COMMAND} build {asked}` makes it again")
        if files.sha256(path) != expected:
            raise ValueError(f"{path}: changed since {folder / 'build.json'} was written; delete that")
    return folder / "model", built


def model_folder(grid: Grid, paths: Paths, model: str) -> Path:
    """Folder of a pre-trained model, its manifest checked."""
    return finished(grid, paths, weights(grid, model))[0]


def tokens(grid: Grid, paths: Paths, task: str, model: str, split: str, located: bool = False) -> TokenisedSplit:
    """Load a task's split in token ids of the tokenizer a model uses, if wanted with each token's characters.

    Raises ValueError if the model's own tokenizer differs.
    """
    alike.check_alike(paths.model(grid.study.tokenizer_of(model)), paths.model(model))
    places = finished(grid, paths, locations(grid, task, model))[0] if located else None
    return TokenisedSplit.load(finished(grid, paths, tokens_of(grid, task, model))[0], split, places)


def paired(grid: Grid, pair: Pair, of: Callable[[str, bool], TokenisedSplit]) -> TokenisedSplit | PairedSplit:
    """Texts for systems that run both models of a pair: those `of` the large one, or of both, with their tokens'
    characters, where their vocabularies differ."""
    if not grid.two_vocabularies(pair):
        return of(pair.large, False)
    return PairedSplit(of(pair.large, True), of(pair.small, True))


def read_by(grid: Grid, paths: Paths, task: str, system: System, split: str) -> TokenisedSplit | PairedSplit:
    """Load a task's split as a system reads it."""
    if both := grid.runs_both(system):
        return paired(grid, both, lambda model, located: tokens(grid, paths, task, model, split, located))
    return tokens(grid, paths, task, grid.reads_as(system), split)


def calibration_tokens(grid: Grid, paths: Paths, task: str, pair: Pair) -> TokenisedSplit | PairedSplit:
    """Tokenize the calibration texts for the models of a pair: the study's file, or the task's train split."""
    path = grid.study.calibration.file

    def of(model: str, located: bool) -> TokenisedSplit:
        if path is None:
            return tokens(grid, paths, task, model, "train", located)
        return Reader.of(paths.model(grid.study.tokenizer_of(model))).read(read_texts(path), str(path), located)

    return paired(grid, pair, of)


def labels(paths: Paths, task: str, split: str) -> Any:
    """Labels [rows] of `train` or `select`: class ids or scores. Only `evaluate` reads the labels of `report`."""
    return parquet.read_table(paths.data(task) / f"{split}.parquet", columns=["label"])["label"].to_numpy()


def labelled(grid: Grid, paths: Paths, task: str, model: str, split: str) -> Labelled:
    """Load `train` or `select` with labels."""
    return Labelled(tokens(grid, paths, task, model, split), labels(paths, task, split))


def chosen_settings(
    grid: Grid, paths: Paths, task: str, model: str
) -> tuple[FineTuning, dict[str, int], dict[str, Any] | None]:
    """Hyperparameters of a model's fine-tuning, the FLOPs parts of its trials, and the record of the choice.

    Without a grid, those of the study; else the best of the trials, by the primary metric on `select` averaged over
    their seeds.
    """
    settings = grid.study.models[model].finetune[task]
    if not settings.grid:
        return settings, {}, None
    named = {name: name.removeprefix(f"trial.{model}.") for name, _ in grid.trials(task, model)}
    trials = [FinetuneModel(task, *trial) for trial in grid.trials(task, model)]
    best, flops, choice = best_trial(grid, paths, "hyperparameters", named, trials)
    return settings.with_choice(**grid.systems[best].settings.model_dump()), flops, choice


def best_trial(
    grid: Grid, paths: Paths, what: str, values: Mapping[str, Any], trials: Sequence[Making]
) -> tuple[str, dict[str, int], dict[str, Any]]:
    """The system that is best in finished trials, by its mean on `select`; their FLOPs parts; the record of the choice.

    `what`: name of the choice; `values`: the value that each trial system stands for.
    """
    flops, scores = dict[str, int](), dict[str, list[float]]()
    for trial in trials:
        _, made = finished(grid, paths, trial)
        flops |= made["train_flops_parts"]
        scores.setdefault(trial.system, []).append(made["select"]["value"])
    means = {name: float(np.mean(found)) for name, found in scores.items()}
    best = max(means, key=lambda name: means[name])
    searched = [{"value": values[name], "score": score} for name, score in means.items()]
    metric = grid.row(trials[0].task).primary_metric
    return best, flops, {"name": what, "metric": metric, "chosen": values[best], "searched": searched}


def save_system(
    grid: Grid,
    paths: Paths,
    step: Making,
    started: hardware.Stopwatch,
    *,
    flops: dict[str, int],
    nominal: dict[str, int] | None = None,
    hyperparameters: dict[str, Any],
    choices: list[dict[str, Any]],
    score: float,
    launch: Launch | None = None,
    diagnostics: dict[str, float] | None = None,
) -> None:
    """Write build.json beside a finished `model/`, last, since it contains the sha256 of the model's files.

    `flops`: parts of the training FLOPs, by a name that is unique in the study; `nominal`: those that were packed, with
    padding; `score`: the primary metric on `select`; `launch`: how it was computed, if not as the study says;
    `diagnostics`: values that the method reports about itself; `started`: the job's stopwatch.
    """
    path = step.output(paths)
    model = sorted(path for path in (path.parent / "model").iterdir() if path.suffix in (".safetensors", ".json"))
    files.write_json(
        path,
        {
            "fingerprint": step.fingerprint(grid),
            "task": step.task,
            "system": step.system,
            "seed": step.seed,
            "train_flops_parts": flops,
            "nominal_flops_parts": nominal or {},
            "hyperparameters": hyperparameters,
            "choices": choices,
            "select": {"metric": grid.row(step.task).primary_metric, "value": score},
            "diagnostics": diagnostics or {},
            "provenance": provenance.of_making(launch or grid.study.launch),
            "measured": started.measured(),
            "model_sha256": {path.name: files.sha256(path) for path in model},
        },
    )
