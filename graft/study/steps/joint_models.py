"""Combine the encoder fine-tuned on all tasks together with one task's output layer."""

from graft.study.grid import Grid
from graft.study.sizes import Sizes
from graft.study.steps.finetune_model import classifier_bytes
from graft.study.steps.job import Job
from graft.study.steps.models import weights
from graft.study.steps.step import Making, Step, hash_of
from graft.study.steps.train_joint import TrainJoint


class JointModels(Making):
    rule = "joint_models"
    work_kind = "merging"

    def job(self, grid: Grid) -> Job:
        return Job.of("make_multitask", vars(self))

    @property
    def training(self) -> TrainJoint:
        return TrainJoint(self.system, self.seed)

    def inputs(self, grid: Grid) -> list[Step]:
        return [weights(grid, self.spec(grid).model), self.training]

    def hashed(self, grid: Grid) -> str:
        return hash_of("joint model", self.task, self.training.fingerprint(grid))

    def depends_on(self, grid: Grid) -> str:
        return "nothing but the encoder trained on all tasks"

    def bytes(self, sizes: Sizes) -> int:
        return classifier_bytes(sizes, self.task, self.spec(sizes.grid).model)
