"""Turn a task's texts into token ids."""

from dataclasses import dataclass

from graft.config.models import Pair
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

    def keeps_chars(self, grid: Grid) -> bool:
        """Whether to keep each token's characters, by which pairs of two vocabularies are aligned."""
        pairs = (pair for pair in grid.pairs if grid.two_vocabularies(pair))
        return any(self.tokenizer in map(grid.study.tokenizer_of, (pair.large, pair.small)) for pair in pairs)

    def hashed(self, grid: Grid) -> str:
        kept = ["chars"] if self.keeps_chars(grid) else []
        return hash_of("tokens", *(step.fingerprint(grid) for step in self.inputs(grid)), *kept)

    def depends_on(self, grid: Grid) -> str:
        return f"nothing but the texts of {self.task} and the tokenizer of {self.tokenizer}"

    def bytes(self, sizes: Sizes) -> int:
        tokens = sizes.task(self.task).tokens.values()
        chars = 2 * NUMBER * self.keeps_chars(sizes.grid)
        return (NUMBER + chars + _TEXT_PER_TOKEN) * sum(int(split.sum()) for split in tokens)


def tokens(grid: Grid, task: str, model: str) -> TokenizeTask:
    """The step that makes a task's token ids for a model."""
    return TokenizeTask(task, grid.study.tokenizer_of(model))


def pair_tokens(grid: Grid, task: str, pair: Pair) -> list[Step]:
    """The steps that make a task's token ids for both models of a pair: one, where these are the same."""
    return list(dict.fromkeys(tokens(grid, task, model) for model in (pair.large, pair.small)))


def tokens_for(grid: Grid, task: str, model: str) -> list[str | int]:
    """All that a model's texts depend on, for fingerprints."""
    return [tokens(grid, task, model).fingerprint(grid), grid.max_tokens(task, model)]
