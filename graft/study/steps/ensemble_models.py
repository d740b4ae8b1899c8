"""Average the logits of fine-tuned models of different seeds."""

from collections.abc import Iterator

from graft.study.grid import Grid
from graft.study.sizes import Sizes
from graft.study.steps.finetune_model import FinetuneModel
from graft.study.steps.job import Job
from graft.study.steps.models import weights
from graft.study.steps.passes import classifier_pass
from graft.study.steps.step import INFERENCE, Making, Step, Work, hash_of
from graft.study.steps.tokenize_task import tokens


class EnsembleModels(Making):
    rule = "ensemble_models"
    files = None  # only the paths of its members
    work_kind = "evaluation"

    def job(self, grid: Grid) -> Job:
        return Job.of("make_soups", vars(self))

    def members(self, grid: Grid) -> list[Making]:
        return [FinetuneModel(self.task, *other) for other in grid.built_on(self.task, self.spec(grid), self.seed)]

    def parts(self, grid: Grid) -> list[Making]:
        return self.members(grid)

    def inputs(self, grid: Grid) -> list[Step]:
        model = self.spec(grid).model
        return [weights(grid, model), tokens(grid, self.task, model), *self.members(grid)]

    def hashed(self, grid: Grid) -> str:
        made = [member.fingerprint(grid) for member in self.members(grid)]
        return hash_of("ensemble", grid.row(self.task).primary_metric, *made, grid.study.launch.of_inference())

    def depends_on(self, grid: Grid) -> str:
        return f"systems.ensemble, tasks.{self.task}.metrics (the first), {INFERENCE}"

    def work(self, sizes: Sizes) -> Iterator[Work]:
        once = classifier_pass(sizes, self.task, "select", self.spec(sizes.grid).model)
        yield Work(f"{self.name}/select", len(self.members(sizes.grid)) * once)
