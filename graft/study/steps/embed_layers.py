"""Save the large model's states of all tokens of train and select at the layers that small layers map to."""

from collections.abc import Iterator
from dataclasses import dataclass

from graft.study.grid import Grid
from graft.study.sizes import Sizes
from graft.study.steps.locate_tokens import pair_tokens
from graft.study.steps.models import weights
from graft.study.steps.passes import encoder_pass
from graft.study.steps.step import INFERENCE, STATES, Step, Work, hash_of
from graft.study.steps.tokenize_task import tokens_for

_HALF = 2  # bytes of a layer state's number


@dataclass(frozen=True)
class EmbedLayers(Step):
    task: str
    pair: str

    rule = "embed_layers"
    made = "layers/{task}/{pair}/manifest.json"
    files = STATES
    temporary = True
    work_kind = "embedding"

    def inputs(self, grid: Grid) -> list[Step]:
        return both_models(grid, self.task, self.pair)

    def hashed(self, grid: Grid) -> str:
        return hash_of("embed_layers", *both_hashed(grid, self.task, self.pair), grid.study.launch.of_inference())

    def depends_on(self, grid: Grid) -> str:
        return f"models.*.finetune.{self.task}.max_tokens, {INFERENCE}"

    def work(self, sizes: Sizes) -> Iterator[Work]:
        large = sizes.grid.pair(self.pair).large
        flops = encoder_pass(sizes, self.task, sizes.shape(large), large, "train", "select")
        yield Work(f"embed_layers.{self.pair}/{self.task}", flops)

    def bytes(self, sizes: Sizes) -> int:
        (small, large), reader = sizes.shapes(self.pair), sizes.grid.pair(self.pair).large
        read = sum(int(sizes.lengths(self.task, split, reader).sum()) for split in ("train", "select"))
        return _HALF * read * small.layers * large.width


def both_models(grid: Grid, task: str, pair: str) -> list[Step]:
    """The steps that make both models of a pair, and a task's token ids as they read them."""
    spec = grid.pair(pair)
    return [weights(grid, spec.large), weights(grid, spec.small), *pair_tokens(grid, task, spec)]


def both_hashed(grid: Grid, task: str, pair: str) -> list[object]:
    """All that the states of both models on a task's texts depend on, for fingerprints."""
    large, small = grid.pair(pair).large, grid.pair(pair).small
    # Where both read the same tokens, these are counted once.
    others = [step.fingerprint(grid) for step in pair_tokens(grid, task, grid.pair(pair))[1:]]
    return [
        tokens_for(grid, task, large),
        *others,
        *(weights(grid, model).fingerprint(grid) for model in (large, small)),
    ]
