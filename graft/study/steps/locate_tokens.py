"""Find where in their texts the tokens are, by which a pair of two vocabularies is aligned."""

from dataclasses import dataclass

from graft.config.models import Pair
from graft.study.grid import Grid
from graft.study.sizes import Sizes
from graft.study.steps.download_task import DownloadTask
from graft.study.steps.models import weights
from graft.study.steps.step import NUMBER, TEXTS, Step, hash_of
from graft.study.steps.tokenize_task import TokenizeTask, tokens


@dataclass(frozen=True)
class LocateTokens(Step):
    task: str
    tokenizer: str

    rule = "locate_tokens"
    local = True
    made = "locations/{task}/{tokenizer}/manifest.json"
    files = TEXTS

    def inputs(self, grid: Grid) -> list[Step]:
        return [DownloadTask(self.task), weights(grid, self.tokenizer)]

    def hashed(self, grid: Grid) -> str:
        return hash_of("locations", TokenizeTask(self.task, self.tokenizer).fingerprint(grid))

    def depends_on(self, grid: Grid) -> str:
        return f"nothing but the texts of {self.task} and the tokenizer of {self.tokenizer}"

    def bytes(self, sizes: Sizes) -> int:
        return 2 * NUMBER * sum(int(split.sum()) for split in sizes.task(self.task).tokens.values())


def locations(grid: Grid, task: str, model: str) -> LocateTokens:
    """The step that finds where in a task's texts a model's tokens are."""
    return LocateTokens(task, grid.study.tokenizer_of(model))


def pair_tokens(grid: Grid, task: str, pair: Pair) -> list[Step]:
    """The steps that make a task's token ids for both models of a pair, the large one's first; where these differ, also
    those that find where they are."""
    if not grid.two_vocabularies(pair):
        return [tokens(grid, task, pair.large)]
    return [step(grid, task, model) for step in (tokens, locations) for model in (pair.large, pair.small)]
