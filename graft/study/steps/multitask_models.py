"""Combine the encoder merged for all tasks with the head of one task's own fine-tuning."""

from graft.study.grid import Grid
from graft.study.sizes import Sizes
from graft.study.steps.finetune_model import FinetuneModel, classifier_bytes
from graft.study.steps.job import Job
from graft.study.steps.merge_encoders import MergeEncoders
from graft.study.steps.models import weights
from graft.study.steps.step import Making, Step, hash_of


class MultitaskModels(Making):
    rule = "multitask_models"
    work_kind = "merging"

    def job(self, grid: Grid) -> Job:
        return Job.of("make_multitask", vars(self))

    @property
    def encoder(self) -> MergeEncoders:
        return MergeEncoders(self.system, self.seed)

    def inputs(self, grid: Grid) -> list[Step]:
        model = self.spec(grid).model
        return [weights(grid, model), FinetuneModel(self.task, f"finetune.{model}", self.seed), self.encoder]

    def hashed(self, grid: Grid) -> str:
        return hash_of("multitask", grid.row(self.task).primary_metric, self.encoder.fingerprint(grid))

    def depends_on(self, grid: Grid) -> str:
        return f"tasks.{self.task}.metrics (the first)"

    def bytes(self, sizes: Sizes) -> int:
        return classifier_bytes(sizes, self.task, self.spec(sizes.grid).model)
