"""Save the frozen states of a pre-trained model on train and select."""

from collections.abc import Iterator
from dataclasses import dataclass

from graft.study.grid import Grid
from graft.study.sizes import Sizes
from graft.study.steps.models import weights
from graft.study.steps.passes import encoder_pass
from graft.study.steps.step import INFERENCE, NUMBER, STATES, Step, Work, hash_of
from graft.study.steps.tokenize_task import tokens, tokens_for


@dataclass(frozen=True)
class EmbedTask(Step):
    task: str
    model: str

    rule = "embed_task"
    made = "embeddings/{task}/{model}/manifest.json"
    files = STATES
    temporary = True
    work_kind = "embedding"

    def inputs(self, grid: Grid) -> list[Step]:
        return [weights(grid, self.model), tokens(grid, self.task, self.model)]

    def hashed(self, grid: Grid) -> str:
        model = weights(grid, self.model).fingerprint(grid)
        return hash_of("embed", tokens_for(grid, self.task, self.model), model, grid.study.launch.of_inference())

    def depends_on(self, grid: Grid) -> str:
        return f"models.*.finetune.{self.task}.max_tokens, {INFERENCE}"

    def work(self, sizes: Sizes) -> Iterator[Work]:
        flops = encoder_pass(sizes, self.task, sizes.shape(self.model), self.model, "train", "select")
        yield Work(f"embed.{self.model}/{self.task}", flops)

    def bytes(self, sizes: Sizes) -> int:
        rows = sum(len(sizes.task(self.task).tokens[split]) for split in ("train", "select"))
        return NUMBER * rows * 2 * sizes.shape(self.model).width
