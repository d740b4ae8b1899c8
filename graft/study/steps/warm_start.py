"""Fine-tune a large model for a few optimizer steps from one of several starts."""

from graft.study.grid import Grid
from graft.study.sizes import Sizes
from graft.study.steps.finetune_model import Tuning
from graft.study.steps.merge_models import MergeModels
from graft.study.steps.passes import classifier_pass, epoch
from graft.study.steps.step import Making


class WarmStart(Tuning):
    rule = "warm_start"
    # What a merge costs is counted otherwise than by RECIPE.
    recipe = 4

    def others(self, grid: Grid) -> list[Making]:
        return [MergeModels(self.task, *other) for other in grid.built_on(self.task, self.spec(grid), self.seed)]

    def flops(self, sizes: Sizes) -> list[int]:
        spec = self.spec(sizes.grid)
        (train, steps), times = epoch(sizes, self.task, spec.model), len(spec.settings.rates)
        select = classifier_pass(sizes, self.task, "select", spec.model)
        return [times * train * spec.steps // steps, times * select]
