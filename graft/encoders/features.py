"""Hidden states of encoders on tokenised splits, on which heads and probes are fitted."""

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from transformers import BertModel

from graft.encoders.inference import Batch, pass_flops, run
from graft.encoders.states import pool
from graft.flops.counts import encoder_flops
from graft.io.progress import Report
from graft.registry.options import Pooling
from graft.registry.shapes import Shape
from graft.tasks.tokens import TokenisedSplit

POOLINGS = get_args(Pooling)
# Every run fits heads on the same draw of train rows.
FIT_SEED = 0


def embed(
    model: BertModel, splits: dict[str, TokenisedSplit], max_tokens: int, progress: Report
) -> tuple[dict[str, np.ndarray], int]:
    """Return the pooled last hidden states `<split>.cls` and `<split>.mean` [rows, w], and the forward FLOPs."""
    shape = Shape.from_config(model.config.to_dict())
    width, total = shape.width, sum(len(split) for split in splits.values())
    states: dict[str, np.ndarray] = {}
    flops = done = 0

    def both(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        nonlocal done
        hidden = last_states(model, batch)
        done += len(hidden)
        progress(done, total, "")
        return torch.cat([pool(hidden, batch["attention_mask"], pooling) for pooling in POOLINGS], dim=1)

    for name, split in splits.items():
        values = run(both, split, max_tokens, device=model.device)
        states |= {f"{name}.{p}": values[:, i * width : (i + 1) * width] for i, p in enumerate(POOLINGS)}
        flops += pass_flops(lambda t: encoder_flops(shape, t), split, max_tokens)
    return states, flops


def last_states(model: BertModel, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return the last hidden states [b, t, w] of a batch."""
    return model(**batch).last_hidden_state


def cls_states(
    model: BertModel,
    tokens: TokenisedSplit,
    max_tokens: int,
    rows: np.ndarray | None = None,
    progress: Callable[[int], None] = lambda texts: None,
) -> np.ndarray:
    """Return [CLS] states [n, w] of a split (or of `rows`); calls `progress` with each batch's number of texts."""

    def first(batch: Batch) -> torch.Tensor:
        states = last_states(model, batch)[:, 0]
        progress(len(states))
        return states

    return run(first, tokens, max_tokens, rows, model.device)


def pooled_states(
    hidden: Callable[[Batch], torch.Tensor],
    pooling: str,
    tokens: TokenisedSplit,
    max_tokens: int,
    rows: np.ndarray | None = None,
    device: str | torch.device = "cpu",
) -> np.ndarray:
    """Return pooled states [n, w] of a split (or of `rows`); `hidden` computes a batch's states [b, t, w]."""
    return run(lambda batch: pool(hidden(batch), batch["attention_mask"], pooling), tokens, max_tokens, rows, device)


def fit_rows(rows: int, count: int) -> np.ndarray:
    """Draw `count` of `rows` train rows for fitting heads, with a fixed seed; returns them in order."""
    if count >= rows:
        return np.arange(rows)
    return np.sort(np.random.default_rng(FIT_SEED).choice(rows, count, replace=False))


def save_states(states: dict[str, np.ndarray], path: Path) -> None:
    """Write named arrays as safetensors."""
    save_file({name: np.ascontiguousarray(value) for name, value in states.items()}, path)


def load_states(folder: Path) -> dict[str, np.ndarray]:
    """Read what `save_states` wrote into a folder."""
    return load_file(folder / "states.safetensors")
