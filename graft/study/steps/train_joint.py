"""Fine-tune one encoder on all tasks together, with an output layer for each."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from graft.config.models import FineTuning
from graft.encoders.batches import training_batches
from graft.flops.one_shape import parameters
from graft.study.grid import Grid
from graft.study.sizes import Sizes
from graft.study.steps.job import Job
from graft.study.steps.models import weights
from graft.study.steps.passes import classifier_flops, training
from graft.study.steps.step import NUMBER, STATES, Step, Work, hash_of
from graft.study.steps.tokenize_task import tokens, tokens_for


@dataclass(frozen=True)
class TrainJoint(Step):
    system: str
    seed: int | str

    rule = "train_joint"
    made = "joint/{system}/seed-{seed}/manifest.json"
    files = STATES
    temporary = True
    work_kind = "fine-tuning large"

    @property
    def name(self) -> str:
        """Prefix of the names of its parts of work."""
        return f"{self.system}/seed-{self.seed}"

    def job(self, grid: Grid) -> Job:
        return Job.of("make_multitask", vars(self))

    def model(self, grid: Grid) -> str:
        return grid.systems[self.system].model

    def settings(self, grid: Grid) -> FineTuning:
        """Those of the model's fine-tuning on the first task, with the system's own epochs; but of learning rates the
        mean over tasks, and of batch sizes and lengths the largest."""
        own = [grid.study.models[self.model(grid)].finetune[task] for task in grid.study.tasks]
        largest = {name: max(getattr(one, name) for one in own) for name in ("batch_size", "max_tokens")}
        largest["epochs"] = grid.systems[self.system].settings.epochs
        rate = sum(one.learning_rate for one in own) / len(own)
        return own[0].model_copy(update={**largest, "learning_rate": rate, "grid": None})

    def inputs(self, grid: Grid) -> list[Step]:
        model = self.model(grid)
        return [weights(grid, model), *(tokens(grid, task, model) for task in grid.study.tasks)]

    def hashed(self, grid: Grid) -> str:
        model = self.model(grid)
        own = [self.settings(grid).model_dump(exclude={"grid"}), self.seed, weights(grid, model).fingerprint(grid)]
        tasks = {task: [grid.row(task).primary_metric, *tokens_for(grid, task, model)] for task in grid.study.tasks}
        return hash_of("joint", *own, [*tasks.items()], grid.study.launch.alone().of_finetuning())

    def depends_on(self, grid: Grid) -> str:
        return f"systems.joint, models.{self.model(grid)}.finetune, tasks.*.metrics (the first), launch, the seed"

    def work(self, sizes: Sizes) -> Iterator[Work]:
        grid, settings, model = sizes.grid, self.settings(sizes.grid), self.model(sizes.grid)
        shape, outputs = sizes.shape(model), sum(grid.row(task).outputs for task in grid.study.tasks)
        train, select = (
            np.concatenate([sizes.lengths(task, split, model) for task in grid.study.tasks])
            for split in ("train", "select")
        )
        batches = training_batches(train, settings.batch_size, np.random.default_rng(0))
        once = training(sizes, shape, outputs, train, batches)
        yield Work(f"{self.name}/train", settings.epochs * once, "training")
        # Every epoch is scored, and the best once more, task by task.
        yield Work(f"{self.name}/select", (settings.epochs + 1) * classifier_flops(shape, outputs, select))

    def bytes(self, sizes: Sizes) -> int:
        outputs = sum(sizes.grid.row(task).outputs for task in sizes.grid.study.tasks)
        return NUMBER * parameters(sizes.shape(self.model(sizes.grid)), outputs)
