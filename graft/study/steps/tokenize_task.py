"""Turn a task's texts into token ids."""

from dataclasses import dataclass

from graft.study.grid import Grid
from graft.study.sizes import Sizes
from graft.study.steps.download_task import DownloadTask
from graft.study.steps.models import weights
from graft.study.steps.step import NUMBER, TEXTS, Step, hash_of

# Bytes of text in parquet per token, as measured in a finished study of the three GLUE tasks.
_TEXT_PER_TOKEN = 4


@dataclass(frozen=True)
class TokenizeTask(Step):
    task: str
    tokenizer: str

    rule = "tokenize_task"
    local = True
    made = "tokens/{task}/{tokenizer}/manifest.json"
    files = TEXTS

    def inputs(self, grid: Grid) -> list[Step]:
        return [DownloadTask(self.task), weights(grid, self.tokenizer)]

    def hashed(self, grid: Grid) -> str:
        return hash_of("tokens", *(step.fingerprint(grid) for step in self.inputs(grid)))

    def depends_on(self, grid: Grid) -> str:
        return f"nothing but the texts of {self.task} and the tokenizer of {self.tokenizer}"

    def bytes(self, sizes: Sizes) -> int:
        tokens = sizes.task(self.task).tokens.values()
        return (NUMBER + _TEXT_PER_TOKEN) * sum(int(split.sum()) for split in tokens)


def tokens(grid: Grid, task: str, model: str) -> TokenizeTask:
    """The step that makes a task's token ids for a model."""
    return TokenizeTask(task, grid.study.tokenizer_of(model))


def tokens_for(grid: Grid, task: str, model: str) -> list[str | int]:
    """All that a model's texts depend on, for fingerprints."""
    return [tokens(grid, task, model).fingerprint(grid), grid.max_tokens(task, model)]
