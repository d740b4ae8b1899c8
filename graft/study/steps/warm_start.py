"""Fine-tune a large model for a few optimizer steps from one of several starts."""

from graft.study.grid import Grid
from graft.study.sizes import Sizes
from graft.study.steps.fewshot_model import FewshotModel
from graft.study.steps.passes import classifier_pass, epoch
from graft.study.steps.step import Making


class WarmStart(FewshotModel):
    rule = "warm_start"

    def loads(self, grid: Grid) -> list[Making]:
        return self.others(grid)

    def flops(self, sizes: Sizes) -> list[int]:
        spec = self.spec(sizes.grid)
        (train, steps), times = epoch(sizes, self.task, spec.model), len(spec.settings.rates)
        select = classifier_pass(sizes, self.task, "select", spec.model)
        return [times * train * spec.steps // steps, times * select]
