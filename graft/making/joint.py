"""Joint fine-tuning: one encoder learns all tasks at once, through one output layer with columns for each task."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from graft.compute import hardware
from graft.encoders.inference import Batch, Labelled, pass_flops, predict
from graft.encoders.models import new_classifier
from graft.io.progress import Report
from graft.merging.classifier_heads.head import unfitted
from graft.merging.saving import save_classifier
from graft.registry.shapes import Shape
from graft.registry.tasks import TaskRow
from graft.study import runs
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps.train_joint import TrainJoint
from graft.tasks import metrics
from graft.tasks.tokens import TokenisedSplit
from graft.training.checkpoints import Checkpoints
from graft.training.finetuning import PassCost, Training, finetune


class Together:
    """The splits of several tasks as one, in their order; each is truncated to its own length."""

    def __init__(self, splits: Sequence[TokenisedSplit], longest: Sequence[int]) -> None:
        self.splits, self.longest = splits, longest
        self.ends = np.cumsum([len(split) for split in splits])

    def __len__(self) -> int:
        return int(self.ends[-1])

    def lengths(self, _: int) -> np.ndarray:
        return np.concatenate([one.lengths(most) for one, most in zip(self.splits, self.longest, strict=True)])

    def batch(self, rows: np.ndarray, max_tokens: int) -> Batch:
        """As of a single split, padded to the longest of these rows, whose tasks may differ."""
        longest, found = int(self.lengths(max_tokens)[rows].max()), dict[str, Tensor]()
        tasks = np.searchsorted(self.ends, rows, side="right")
        for task in np.unique(tasks):
            at = np.flatnonzero(tasks == task)
            inside = rows[at] - (self.ends[task] - len(self.splits[task]))
            for name, own in self.splits[task].batch(inside, self.longest[task]).items():
                whole = found.setdefault(name, torch.zeros(len(rows), longest, dtype=own.dtype))
                whole[at, : own.shape[1]] = own
        return found


def places(rows: Sequence[TaskRow]) -> list[slice]:
    """The columns of each task in the logits."""
    ends = np.cumsum([row.outputs for row in rows]).tolist()
    return [slice(end - row.outputs, end) for row, end in zip(rows, ends, strict=True)]


def joint_loss(rows: Sequence[TaskRow]) -> Callable[[Tensor, Tensor], Tensor]:
    """The mean over a batch of each example's own loss, from logits [b, c] of all tasks and (task, label) [b, 2]."""

    def loss(logits: Tensor, wanted: Tensor) -> Tensor:
        whole = logits.new_zeros(len(logits))
        for task, (row, place) in enumerate(zip(rows, places(rows), strict=True)):
            mine, own = wanted[:, 0] == task, logits[:, place]
            labels = torch.where(mine, wanted[:, 1], 0)
            if row.labels is None:
                each = functional.mse_loss(own[:, 0], labels, reduction="none")
            else:
                each = functional.cross_entropy(own, labels.long(), reduction="none")
            whole = whole + mine * each
        return whole.mean()

    return loss


def train(
    grid: Grid, paths: Paths, step: TrainJoint, log: Path, report: Report
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Fine-tune one encoder on all tasks with one seed; returns the classifier's tensors, and what to record.

    Every epoch takes the rows of all tasks in random order, so that a task's share of a batch is that of its rows
    (examples-proportional mixing: Raffel et al. 2020, arXiv 1910.10683). The best epoch has the highest mean of the
    tasks' primary metrics on `select`, as GLUE's own score.
    """
    model, tasks, settings = step.model(grid), [*grid.study.tasks], step.settings(grid)
    rows, launch = [grid.row(task) for task in tasks], grid.study.launch.alone()
    folder = runs.model_folder(grid, paths, model)
    longest = [grid.max_tokens(task, model) for task in tasks]
    train, select = (
        Together([runs.tokens(grid, paths, task, model, split) for task in tasks], longest)
        for split in ("train", "select")
    )
    learnt, wanted = ([runs.labels(paths, task, split) for task in tasks] for split in ("train", "select"))
    pairs = np.concatenate([np.stack([np.full(len(own), n), own], axis=1) for n, own in enumerate(learnt)])

    def scores(logits: np.ndarray) -> dict[str, float]:
        parts = np.split(logits, select.ends[:-1])
        return {
            task: metrics.primary(part[:, place], own, row)
            for task, part, place, own, row in zip(tasks, parts, places(rows), wanted, rows, strict=True)
        }

    outputs = sum(row.outputs for row in rows)
    cost = PassCost.of_classifier(Shape.of(folder), outputs)
    tuned = finetune(
        new_classifier(folder, tuple(map(str, range(outputs))), int(step.seed)),
        Training(
            rows[0],
            Labelled(train, pairs),
            Labelled(select, np.concatenate(wanted)),
            settings,
            int(step.seed),
            launch,
            log,
            cost,
            name=step.name,
            checkpoints=Checkpoints(paths.checkpoints(step.fingerprint(grid)), launch.checkpoint_minutes),
            loss=joint_loss(rows),
            score=lambda logits: math.fsum(scores(logits).values()) / len(tasks),
        ),
        report,
    )
    reached = scores(predict(tuned.model.to(hardware.device_of(launch)), select, settings.max_tokens))
    tuned.flops["select"] += pass_flops(cost.forward, select, settings.max_tokens)
    choice = {
        "name": "epoch",
        "metric": "mean over tasks of the metric",
        "chosen": tuned.epochs[tuned.best]["epoch"],
        "searched": [{"value": e["epoch"], "score": e["select"]} for e in tuned.epochs],
    }
    return tuned.model.cpu().state_dict(), {
        "train_flops_parts": {f"{step.name}/{part}": flops for part, flops in tuned.flops.items()},
        "nominal_flops_parts": {f"{step.name}/{part}": flops for part, flops in tuned.nominal.items()},
        "hyperparameters": {**tuned.effective, "loss": "that of each row's task", "tasks": tasks},
        "choices": [choice],
        "select": reached,
    }


def save(grid: Grid, paths: Paths, task: str, model: str, tensors: dict[str, Tensor], out: Path) -> None:
    """Write a task's classifier: the encoder, and the task's columns of the output layer."""
    tasks, folder = [*grid.study.tasks], runs.model_folder(grid, paths, model)
    place = places([grid.row(own) for own in tasks])[tasks.index(task)]
    body = {name.removeprefix("bert."): tensor for name, tensor in tensors.items() if name.startswith("bert.")}
    head = replace(
        unfitted(body, Shape.of(folder)),
        classifier_weight=tensors["classifier.weight"][place],
        classifier_bias=tensors["classifier.bias"][place],
    )
    save_classifier(body, head, folder, grid.row(task).labels, out)
