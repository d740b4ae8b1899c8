"""Fine-tune a model with a fraction of its steps, or on few labels, or try a learning rate for that."""

from graft.config.systems import FewLabelsTuning
from graft.study.grid import Grid
from graft.study.sizes import Sizes
from graft.study.steps.job import Job
from graft.study.steps.passes import classifier_pass, epoch, epochs
from graft.study.steps.step import Step
from graft.study.steps.warm_start import WarmStart


class BudgetModel(WarmStart):
    rule = "budget_model"

    def job(self, grid: Grid) -> Job:
        return Job.of(self.rule, {**vars(self), "model": self.spec(grid).model})

    def inputs(self, grid: Grid) -> list[Step]:
        trials = grid.rate_trials(self.spec(grid))
        return [*super().inputs(grid), *(BudgetModel(self.task, *trial) for trial in trials)]

    def flops(self, sizes: Sizes) -> list[int]:
        spec = self.spec(sizes.grid)
        sizes = sizes.seeing(spec.labels)
        train, steps = epoch(sizes, self.task, spec.model)
        if isinstance(spec.settings, FewLabelsTuning):
            return [spec.settings.epochs * train, classifier_pass(sizes, self.task, "select", spec.model)]
        own = spec.settings.steps(epochs(sizes, self.task, spec.model) * steps)
        return [train * own // steps, classifier_pass(sizes, self.task, "select", spec.model)]
