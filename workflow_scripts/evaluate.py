"""Run a finished system over `report` and write its predictions and its run.json."""

import time
from typing import Any

import numpy as np
import pandas as pd

from graft.cli import cards
from graft.compute import hardware, provenance
from graft.encoders.inference import run
from graft.io import files
from graft.merging.loading import load
from graft.study import accounts, records, runs
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps.download_task import DownloadTask
from graft.study.steps.evaluate import Evaluate
from graft.tasks import metrics

# Published inference costs are per example of 128 tokens.
STANDARD_TOKENS = 128
PREDICTIONS = "predictions.parquet"
# What a system costs to use, in run.json.
INFERENCE = ("inference_flops", "inference_flops_real", "parameters", "bytes")


def make(step: Evaluate, grid: Grid, paths: Paths) -> None:
    started = time.perf_counter()
    system, row, out = grid.systems[step.system], grid.row(step.task), step.output(paths).parent
    answers = pd.read_parquet(DownloadTask(step.task).answers(paths))
    labels = answers["label"].to_numpy()
    if step.only_scores(grid, paths):
        logits, inference, built = _read(step, grid, paths)
    else:
        logits, inference, built = _predict(step, grid, paths)
        table = answers.copy()
        if row.labels is None:
            table["score"] = logits[:, 0]
        else:
            table[[f"logit_{i}" for i in range(row.outputs)]] = logits
        with files.atomic_file(out / PREDICTIONS) as temporary:
            table.to_parquet(temporary, index=False)
    data = files.read_json(paths.data(step.task) / "manifest.json")
    account = accounts.account(grid, paths, step.making(grid))
    record = records.RunRecord(
        study=grid.study.name,
        task=step.task,
        system=step.system,
        kind=system.kind,
        seed=step.seed,
        label_use=system.label_use,
        primary_metric=row.primary_metric,
        metrics=metrics.with_errors(logits, labels, row),
        degenerate=metrics.is_degenerate(logits, row),
        select=built["select"],
        cost={
            "train_flops": account.whole,
            "train_flops_parts": account.parts,
            "nominal_flops": account.nominal,
            "pretraining_flops": account.pretraining,
            **inference,
            "peak_memory_bytes": built["measured"]["peak_memory_bytes"],
            "wall_seconds": built["measured"]["wall_seconds"],
            "energy_joules": built["measured"].get("energy_joules"),
        },
        hyperparameters=built["hyperparameters"],
        choices=built["choices"],
        diagnostics=built["diagnostics"],
        provenance={
            "fingerprint": step.fingerprint(grid),
            "data_sha256": data["sha256"],
            "model_sha256": built["model_sha256"],
            "predictions_sha256": files.sha256(out / PREDICTIONS),
            **built["provenance"],
            "evaluated": provenance.of_making(grid.study.launch),
        },
    )
    if step.task not in grid.transfers and step.making(grid).model(paths).is_dir():
        cards.complete(grid, paths, record)
    records.write(out / "run.json", record)
    shown = ", ".join(f"{name} {m.value:.4f}" for name, m in record.metrics.items())
    print(f"{step.task} {step.system} seed {step.seed}: {shown} ({time.perf_counter() - started:.1f} s)")


def _predict(step: Evaluate, grid: Grid, paths: Paths) -> tuple[np.ndarray, dict[str, float], dict[str, Any]]:
    """Logits [rows, c] of the system on report, what inference costs, and its build.json."""
    folder, built = runs.made_model(grid, paths, step.making(grid))
    model, device = grid.reads_as(grid.systems[step.system]), hardware.device_of(grid.study.launch)
    tokens = runs.read_by(grid, paths, step.task, grid.systems[step.system], "report")
    predictor, max_tokens = load(folder).to(device), grid.max_tokens(step.task, model)
    logits = run(predictor.logits, tokens, max_tokens, device=device)
    real = predictor.pass_flops(tokens, max_tokens) / len(tokens)
    values = (predictor.flops(STANDARD_TOKENS), real, predictor.parameters, predictor.bytes)
    return logits, dict(zip(INFERENCE, values, strict=True)), built


def _read(step: Evaluate, grid: Grid, paths: Paths) -> tuple[np.ndarray, dict[str, float], dict[str, Any]]:
    """The same of the evaluation that stands there."""
    path, predictions = step.outputs(grid, paths)
    table, cost = pd.read_parquet(predictions), records.read(path).cost
    columns = [name for name in table.columns if name == "score" or name.startswith("logit_")]
    inference = {name: getattr(cost, name) for name in INFERENCE}
    return table[columns].to_numpy(), inference, files.read_json(step.making(grid).output(paths))
