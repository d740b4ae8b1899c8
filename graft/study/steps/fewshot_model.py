"""Fine-tune a large model on as many rows as the best merge's training FLOPs pay for."""

from graft.study.grid import Grid
from graft.study.steps.finetune_model import Tuning
from graft.study.steps.merge_models import MergeModels
from graft.study.steps.step import Making


class FewshotModel(Tuning):
    rule = "fewshot_model"
    # What a merge costs is counted otherwise than by RECIPE.
    recipe = 4

    def loads(self, grid: Grid) -> list[Making]:
        # What the merges cost, and how they scored, stands in their build.json.
        return [made for made in self.others(grid) if made.system == self.spec(grid).parent]

    def others(self, grid: Grid) -> list[Making]:
        return [MergeModels(self.task, *other) for other in grid.built_on(self.task, self.spec(grid), self.seed)]
