"""Run models over a tokenised split, in fp32, in batches of rows of similar length."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from graft.encoders.batches import INFERENCE_BATCH, inference_batches, padded_lengths
from graft.flops.counts import encoder_flops, summed_flops
from graft.registry.shapes import Shape
from graft.tasks.spans import PairedSplit

# Texts are drawn once for all seeds, since they serve to analyse pre-trained models, which have no seed.
TEXT_SEED = 0
# The inputs of a batch, by name.
Batch = dict[str, Tensor]


class Split(Protocol):
    """Texts that a model reads in batches: a TokenisedSplit, alone or with further inputs, or a PairedSplit."""

    def __len__(self) -> int: ...
    def lengths(self, max_tokens: int) -> np.ndarray: ...
    def batch(self, rows: np.ndarray, max_tokens: int) -> Batch: ...


@dataclass(frozen=True)
class Labelled:
    """A split with its labels: class ids or scores [rows], or probabilities of the classes [rows, c].

    If `rows` are given, training uses only these.
    """

    tokens: Split
    labels: np.ndarray
    rows: np.ndarray | None = None


def batches(tokens: Split, max_tokens: int, rows: np.ndarray | None = None) -> Iterator[tuple[np.ndarray, Batch]]:
    """Yield every row (or only `rows`) once, as (positions in `rows`, batch)."""
    rows = np.arange(len(tokens)) if rows is None else rows
    for positions in inference_batches(tokens.lengths(max_tokens)[rows], INFERENCE_BATCH):
        yield positions, tokens.batch(rows[positions], max_tokens)


def first_texts(tokens: Split, max_tokens: int, count: int) -> np.ndarray:
    """Return rows in a fixed random order, as many whole texts as it takes to reach `count` tokens."""
    order = np.random.default_rng(TEXT_SEED).permutation(len(tokens))
    seen = np.cumsum(tokens.lengths(max_tokens)[order])
    return order[: int(np.searchsorted(seen, count)) + 1]


def padded_tokens(tokens: Split, max_tokens: int, rows: np.ndarray | None = None, role: str = "large") -> np.ndarray:
    """Each row's padded length in `batches`, in tokens of a pair's "large" or "small" model. [rows]"""
    rows = np.arange(len(tokens)) if rows is None else rows
    together = inference_batches(tokens.lengths(max_tokens)[rows], INFERENCE_BATCH)
    own = replace(tokens, lengths_of=role) if isinstance(tokens, PairedSplit) else tokens
    return padded_lengths(own.lengths(max_tokens)[rows], together)


def pass_flops(
    flops: Callable[[int], int], tokens: Split, max_tokens: int, rows: np.ndarray | None = None, role: str = "large"
) -> int:
    """FLOPs of one model's pass over a split, padded as in `batches`; `flops(t)`: of one example at t tokens."""
    return summed_flops(flops, padded_tokens(tokens, max_tokens, rows, role))


def pair_flops(small: Shape, large: Shape, tokens: Split, max_tokens: int, rows: np.ndarray) -> int:
    """FLOPs of one pass of both encoders of a pair, without poolers, over rows that share batches."""
    costs = {"small": partial(encoder_flops, small), "large": partial(encoder_flops, large)}
    return sum(pass_flops(cost, tokens, max_tokens, rows, role) for role, cost in costs.items())


@torch.inference_mode()
def run(
    compute: Callable[[Batch], Tensor],
    tokens: Split,
    max_tokens: int,
    rows: np.ndarray | None = None,
    device: str | torch.device = "cpu",
) -> np.ndarray:
    """Apply `compute`, which returns [b, k] for a batch, to a split (or `rows`); returns float32 [n, k] in order."""
    result: np.ndarray | None = None
    count = len(tokens) if rows is None else len(rows)
    for positions, batch in batches(tokens, max_tokens, rows):
        values = compute({k: v.to(device) for k, v in batch.items()}).float().cpu().numpy()
        if result is None:
            result = np.empty((count, values.shape[1]), dtype=np.float32)
        result[positions] = values
    assert result is not None
    return result


def predict(model: torch.nn.Module, tokens: Split, max_tokens: int, rows: np.ndarray | None = None) -> np.ndarray:
    """Return a classifier's logits (or scores) [n, c], in eval mode."""
    model.eval()
    return run(lambda batch: model(**batch).logits, tokens, max_tokens, rows, next(model.parameters()).device)
