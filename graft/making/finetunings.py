"""Make the fine-tuned systems of a study: the initial weights, training targets and settings of each."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from graft.compute import hardware
from graft.config.models import FineTuning
from graft.config.study import MEMBER_SEEDS
from graft.config.systems import (
    BudgetPoint,
    DistilSystem,
    FewLabelsTuning,
    LoraSystem,
    MemberSystem,
    TrialSystem,
    WarmStartSystem,
    WeakToStrongSystem,
)
from graft.encoders import features
from graft.encoders.inference import Labelled, pass_flops, predict
from graft.encoders.models import load_classifier, new_classifier
from graft.encoders.network import Classifier
from graft.flops.counts import lora_flops
from graft.io.progress import Report, part_of
from graft.making.splits import splits_of
from graft.registry.shapes import Shape
from graft.registry.tasks import TaskRow
from graft.study import runs
from graft.study.grid import Grid
from graft.study.grid_systems import System, rate_trial
from graft.study.paths import Paths
from graft.study.steps.making import making
from graft.training.checkpoints import Checkpoints
from graft.training.finetuning import FineTuned, PassCost, Training, finetune


@dataclass(frozen=True)
class Tuned:
    """A fine-tuned classifier, records of its choices, the parts of its training FLOPs, and the settings in effect."""

    model: Classifier
    score: float
    choices: list[dict[str, Any]]
    flops: dict[str, int]
    hyperparameters: dict[str, Any]
    nominal: dict[str, int]
    """Those of these parts that were packed, with padding."""
    earlier_seconds: float = 0.0
    """Of attempts that did not come to the end."""


class Tuning:
    """One fine-tuning of a study: its splits in its model's tokens, its settings and its paths."""

    def __init__(self, grid: Grid, paths: Paths, task: str, system: System, seed: int, log: Path) -> None:
        self.grid, self.paths, self.task, self.system, self.seed, self.log = grid, paths, task, system, seed, log
        self.name = f"{system.name}/{task}/seed-{seed}"
        self.row: TaskRow = grid.row(task)
        assert system.model is not None
        self.model = system.model
        self.settings, self.trial_flops, self.trial_choice = self._settings()
        self.folder = runs.model_folder(grid, paths, self.model)
        self.shape = Shape.of(self.folder)
        self.device = hardware.device_of(grid.study.launch)
        self.checkpoints = paths.checkpoints(making(grid, task, system.name, seed).fingerprint(grid))
        self.splits = splits_of(grid, paths, task, system, seed)
        self.train, self.select = (self.splits.labelled(system.model, split) for split in ("train", "select"))

    def _settings(self) -> tuple[FineTuning, dict[str, int], dict[str, Any] | None]:
        """Hyperparameters, the FLOPs of their search, and its record."""
        if isinstance(self.system.settings, TrialSystem):
            own = self.grid.study.models[self.model].finetune[self.task]
            return own.with_choice(**self.system.settings.model_dump()), {}, None
        return runs.chosen_settings(self.grid, self.paths, self.task, self.model)

    def start(self) -> Classifier:
        """Load the pre-trained model with a new head."""
        return new_classifier(self.folder, self.row.labels, self.seed)

    def built_on(self) -> tuple[Path, dict[str, Any]]:
        """Model folder and build.json of the single system that this one builds on."""
        ((name, seed),) = self.grid.built_on(self.task, self.system, self.seed)
        folder, made = runs.finished(self.grid, self.paths, making(self.grid, self.task, name, seed))
        return folder / "model", made

    def run(
        self,
        model: torch.nn.Module,
        report: Report,
        *,
        train: Labelled | None = None,
        settings: FineTuning | None = None,
        cost: PassCost | None = None,
        steps: int | None = None,
        log: Path | None = None,
        of_several: bool = False,
    ) -> FineTuned:
        """Fine-tune a model with the study's settings, or with the given ones instead.

        `of_several`: this is one of several runs of the system, each with its own log.
        """
        launch, log = self.grid.study.launch, log or self.log
        training = Training(
            self.row,
            train or self.train,
            self.select,
            settings or self.settings,
            self.seed,
            launch,
            log,
            cost or PassCost.of_classifier(self.shape, self.row.outputs),
            name=self.name,
            steps=steps,
            checkpoints=Checkpoints(self.checkpoints / log.stem, launch.checkpoint_minutes, of_several),
        )
        return finetune(model, training, report)

    def tuned(self, result: FineTuned, **hyperparameters: Any) -> Tuned:
        """Convert a result to the form that its program saves."""
        choice = {
            "name": "epoch",
            "metric": self.row.primary_metric,
            "chosen": result.epochs[result.best]["epoch"],
            "searched": [{"value": e["epoch"], "score": e["select"]} for e in result.epochs],
        }
        parts, nominal = (
            {f"{self.name}/{part}": count for part, count in counted.items()}
            for counted in (result.flops, result.nominal)
        )
        choices = [self.trial_choice, choice] if self.trial_choice else [choice]
        effective = {**result.effective, **hyperparameters}
        parts = {**self.trial_flops, **self.splits.flops, **parts}
        return Tuned(result.model, result.score, choices, parts, effective, nominal, result.earlier_seconds)


def as_configured(tuning: Tuning, report: Report) -> Tuned:
    """Make `finetune`: the pre-trained model, fine-tuned on all of train."""
    return tuning.tuned(tuning.run(tuning.start(), report))


def from_one_head(tuning: Tuning, report: Report) -> Tuned:
    """Make `member`: start from the head shared by all soup members; the seed sets dropout and the order of texts."""
    start = new_classifier(tuning.folder, tuning.row.labels, MEMBER_SEEDS)
    return tuning.tuned(tuning.run(start, report))


def through_adapters(tuning: Tuning, report: Report) -> Tuned:
    """Make `lora`: train low-rank adapters instead of the weights, then merge them into these."""
    from graft.training.adapters import with_adapters, without_adapters  # peft takes seconds to import

    settings: LoraSystem = tuning.system.settings
    torch.manual_seed(tuning.seed)
    cost = partial(lora_flops, tuning.shape, outputs=tuning.row.outputs, rank=settings.rank, targets=settings.targets)
    changed = {"learning_rate": settings.learning_rate, "epochs": settings.epochs or tuning.settings.epochs}
    result = tuning.run(
        with_adapters(tuning.start(), settings),
        report,
        settings=tuning.settings.model_copy(update=changed),
        cost=PassCost(lambda tokens: cost(tokens)[0], lambda tokens: cost(tokens)[1]),
    )
    adapters = settings.model_dump(include={"rank", "alpha", "dropout", "targets"})
    return tuning.tuned(replace(result, model=without_adapters(result.model)), **adapters)


def taught(tuning: Tuning, report: Report) -> Tuned:
    """Make `distil` or `weak-to-strong`: train on the fine-tuned teacher's predictions for train, not on its labels."""
    folder, made = tuning.built_on()
    settings, rows = tuning.system.settings, None
    if isinstance(settings, WeakToStrongSystem) and settings.rows:
        rows = features.fit_rows(len(tuning.train.labels), settings.rows)
    tokens, longest = tuning.train.tokens, tuning.settings.max_tokens
    read = tuning.splits.tokens(tuning.grid.systems[tuning.system.parent].model, "train")  # in the teacher's own tokens
    answers = predict(load_classifier(folder).to(tuning.device), read, longest, rows)
    if tuning.row.labels is None:
        answers, wanted = answers[:, 0], np.zeros(len(tokens), dtype=np.float32)
    else:
        answers = torch.from_numpy(answers).softmax(dim=1).numpy()
        wanted = np.zeros((len(tokens), tuning.row.outputs), dtype=np.float32)
    wanted[slice(None) if rows is None else rows] = answers
    result = tuning.run(tuning.start(), report, train=Labelled(tokens, wanted, rows))
    cost = PassCost.of_classifier(Shape.of(folder), tuning.row.outputs)
    asked = {f"{tuning.name}/teacher": pass_flops(cost.forward, read, longest, rows)}
    tuned = tuning.tuned(result, teacher=tuning.system.parent, rows=len(tokens) if rows is None else len(rows))
    return replace(tuned, flops={**made["train_flops_parts"], **asked, **tuned.flops})


def with_fewer_steps(tuning: Tuning, report: Report) -> Tuned:
    """Make `budget`, or one of its trials: a fraction of the steps, at the rate that was best in the trials."""
    grid, system, point = tuning.grid, tuning.system, tuning.system.settings
    folder, made = tuning.built_on() if system.parent else (None, {})
    flops, choices = dict(made.get("train_flops_parts", {})), list[dict[str, Any]]()
    rates = {rate_trial(system.name, rate): rate * tuning.settings.learning_rate for rate in point.rates}
    rate = next(iter(rates.values()))
    if trials := [making(grid, tuning.task, *trial) for trial in grid.rate_trials(system)]:
        _, spent, choice = runs.best_trial(grid, tuning.paths, "learning_rate", rates, trials)
        flops, choices, rate = flops | spent, [choice], choice["chosen"]
    batches = math.ceil(len(tuning.train.labels) / tuning.settings.batch_size)
    result = tuning.run(
        load_classifier(folder) if folder else tuning.start(),
        report,
        settings=tuning.settings.model_copy(update={"learning_rate": rate}),
        steps=point.steps(tuning.settings.epochs * batches),
    )
    tuned = tuning.tuned(result, fraction=point.fraction)
    # Its last weights are kept: there is no choice of an epoch.
    return replace(tuned, choices=[*tuned.choices[:-1], *choices], flops=flops | tuned.flops)


def on_few_labels(tuning: Tuning, report: Report) -> Tuned:
    """Make `finetune.few-<n>`: the pre-trained model, fine-tuned on the few rows whose labels are known."""
    changed = tuning.system.settings.model_dump()
    settings, rows = tuning.settings.model_copy(update=changed), len(tuning.train.labels)
    steps = settings.epochs * math.ceil(rows / settings.batch_size)
    tuned = tuning.tuned(
        tuning.run(tuning.start(), report, settings=settings, steps=steps), labels=tuning.system.labels
    )
    # Its last weights are kept: there is no choice of an epoch.
    return replace(tuned, choices=tuned.choices[:-1])


def few_steps(tuning: Tuning, report: Report) -> Tuned:
    """Make `warm-start`: a few steps from the system's own start, at each learning rate; the best on `select`."""
    rates = tuning.system.settings.rates
    folder, made = tuning.built_on() if tuning.system.parent else (None, {})
    flops, nominal, tried = Counter(made.get("train_flops_parts", {})), Counter[str](), list[Tuned]()
    for number, rate in enumerate(rates):
        changed = {"learning_rate": rate * tuning.settings.learning_rate}
        result = tuning.run(
            load_classifier(folder) if folder else tuning.start(),
            part_of(report, number, len(rates)),
            settings=tuning.settings.model_copy(update=changed),
            steps=tuning.system.steps,
            log=tuning.log.with_stem(f"{tuning.log.stem}-rate-{rate:g}"),
            of_several=len(rates) > 1,
        )
        tried.append(tuning.tuned(result))
        flops.update(tried[-1].flops)
        nominal.update(tried[-1].nominal)
    best = max(tried, key=lambda one: one.score)
    choice = {
        "name": "learning_rate",
        "metric": tuning.row.primary_metric,
        "chosen": best.hyperparameters["learning_rate"],
        "searched": [{"value": one.hyperparameters["learning_rate"], "score": one.score} for one in tried],
    }
    return replace(
        best,
        choices=[choice, *best.choices],
        flops={**flops, **tuning.trial_flops},
        nominal=nominal,
        earlier_seconds=sum(one.earlier_seconds for one in tried),
    )


# The function that makes a fine-tuned system, by the type of its settings.
WAYS: dict[type, Callable[[Tuning, Report], Tuned]] = {
    type(None): as_configured,
    MemberSystem: from_one_head,
    LoraSystem: through_adapters,
    DistilSystem: taught,
    WeakToStrongSystem: taught,
    BudgetPoint: with_fewer_steps,
    FewLabelsTuning: on_few_labels,
    WarmStartSystem: few_steps,
    TrialSystem: as_configured,
}


def tune(tuning: Tuning, report: Report) -> Tuned:
    """Fine-tune one system."""
    return WAYS[type(tuning.system.settings)](tuning, report)
