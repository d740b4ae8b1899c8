"""Fine-tune a large model on as many rows as the best merge's training FLOPs pay for."""

from graft.study.grid import Grid
from graft.study.steps.finetune_model import Tuning
from graft.study.steps.merge_models import MergeModels
from graft.study.steps.step import Step


class FewshotModel(Tuning):
    rule = "fewshot_model"

    def others(self, grid: Grid) -> list[Step]:
        return [MergeModels(self.task, *other) for other in grid.built_on(self.task, self.spec(grid), self.seed)]
