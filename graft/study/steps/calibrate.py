"""Gather the moments of both models' activations on the same texts, under a depth map."""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graft.encoders.batches import padded_lengths
from graft.flops import counts as count
from graft.registry.depth import SIMILARITY_TOKENS, as_deep, pairs
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.sizes import Sizes
from graft.study.steps.embed_layers import both_hashed, both_models
from graft.study.steps.passes import encoder_flops
from graft.study.steps.step import INFERENCE, NUMBER, STATES, Step, Work, hash_of


@dataclass(frozen=True)
class Calibrate(Step):
    task: str
    pair: str
    depth: str

    rule = "calibrate"
    made = "statistics/{task}/{pair}/{depth}/manifest.json"
    files = STATES
    temporary = True
    work_kind = "calibration"

    def similarity(self, paths: Paths) -> Path:
        """The similarity of all pairs of layers, for figures; it stays when the statistics go."""
        return paths.root / "similarity" / self.task / self.pair / f"{self.depth}.json"

    def inputs(self, grid: Grid) -> list[Step]:
        return both_models(grid, self.task, self.pair)

    def hashed(self, grid: Grid) -> str:
        settings = {"tokens": grid.study.calibration.tokens, **grid.calibration_text()}
        inputs = both_hashed(grid, self.task, self.pair)
        return hash_of("calibrate", settings, self.depth, *inputs, grid.study.launch.of_inference())

    def depends_on(self, grid: Grid) -> str:
        return f"calibration.tokens, calibration.text, models.*.finetune.{self.task}.max_tokens, {INFERENCE}"

    def work(self, sizes: Sizes) -> list[Work]:
        name = f"{self.rule}.{self.pair}/{self.task}/{self.depth}"
        return [Work(f"{name}/{part}", flops) for part, flops in _flops(sizes, self).items()]

    def bytes(self, sizes: Sizes) -> int:
        small, large = sizes.shapes(self.pair)
        return 2 * NUMBER * count.moments_size(small, large, pairs(self.depth, small.layers, large.layers))


@functools.cache
def _flops(sizes: Sizes, step: Calibrate) -> dict[str, int]:
    """FLOPs of the moments of all sites, and of the similarity of all layer pairs, on fewer texts."""
    small, large = sizes.shapes(step.pair)
    mapped, deep = pairs(step.depth, small.layers, large.layers), as_deep(step.depth, small, large)
    read, few = (
        some_texts(sizes, step.task, step.pair, tokens)
        for tokens in (sizes.grid.study.calibration.tokens, SIMILARITY_TOKENS)
    )
    products = count.moments_flops(deep, large, mapped, int(padded_lengths(read).sum()))
    compared = count.similarity_flops(small, large, int(few.sum()))
    return {
        "sites": encoder_flops(deep, read) + encoder_flops(large, read) + products,
        "similarity": encoder_flops(small, few) + encoder_flops(large, few) + compared,
    }


def some_texts(sizes: Sizes, task: str, pair: str, tokens: int) -> np.ndarray:
    """Lengths of just enough random texts of train to hold `tokens` tokens."""
    lengths = np.random.default_rng(0).permutation(sizes.lengths(task, "train", sizes.grid.pair(pair).large))
    return lengths[: int(np.searchsorted(np.cumsum(lengths), tokens)) + 1]
