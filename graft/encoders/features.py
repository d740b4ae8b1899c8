"""Hidden states of encoders on tokenised splits, on which heads and probes are fitted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from graft.encoders.inference import Batch, Split, batches, pass_flops, run
from graft.encoders.spans import read_by
from graft.encoders.states import layer_states, pool
from graft.flops.counts import encoder_flops
from graft.io.progress import Report
from graft.registry.options import Pooling
from graft.registry.readouts import State
from graft.tasks.tokens import TokenisedSplit

if TYPE_CHECKING:
    from graft.encoders.network import Encoder

POOLINGS = get_args(Pooling)
# Every run fits heads on the same draw of train rows.
FIT_SEED = 0


@torch.inference_mode()
def embed(
    model: Encoder, splits: dict[str, TokenisedSplit], max_tokens: int, progress: Report
) -> tuple[dict[str, np.ndarray], int]:
    """Return the pooled last hidden states `<split>.cls` and `<split>.mean` [rows, w], and the forward FLOPs."""
    shape = model.shape
    total = sum(len(split) for split in splits.values())
    states: dict[str, np.ndarray] = {}
    flops = done = 0
    for name, split in splits.items():
        states |= {f"{name}.{p}": np.empty((len(split), shape.width), dtype=np.float32) for p in POOLINGS}
        for rows, batch in batches(split, max_tokens):
            batch = {key: value.to(model.device) for key, value in batch.items()}
            hidden = last_states(model, batch)
            for pooling in POOLINGS:
                pooled = pool(hidden, batch["attention_mask"], pooling)
                states[f"{name}.{pooling}"][rows] = pooled.float().cpu().numpy()
            done += len(rows)
            progress(done, total, "")
        flops += pass_flops(lambda t: encoder_flops(shape, t), split, max_tokens)
    return states, flops


@torch.inference_mode()
def layers_pooled(
    model: Encoder, tokens: TokenisedSplit, max_tokens: int
) -> Iterator[tuple[np.ndarray, dict[State, torch.Tensor]]]:
    """Yield the rows of every batch of a split, and their states [b, w] at every layer in both poolings."""
    layers = range(-1, len(model.encoder.layer))
    for rows, batch in batches(tokens, max_tokens):
        batch = {key: value.to(model.device) for key, value in batch.items()}
        hidden, mask = layer_states(model, layers, batch), batch["attention_mask"]
        yield rows, {State(k, p): pool(hidden[:, :, k], mask, p) for k in range(len(layers)) for p in POOLINGS}


def last_states(model: Encoder, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return the last hidden states [b, t, w] of a batch."""
    return model(**batch).last_hidden_state


def cls_states(
    model: Encoder,
    tokens: TokenisedSplit,
    max_tokens: int,
    rows: np.ndarray | None = None,
    progress: Callable[[int], None] = lambda texts: None,
) -> np.ndarray:
    """Return the states [n, w] that a classifier reads of a split (or of `rows`): of [CLS], or means in some families.

    Calls `progress` with each batch's number of texts.
    """

    def read(batch: Batch) -> torch.Tensor:
        states = pool(last_states(model, batch), batch["attention_mask"], model.shape.pooling)
        progress(len(states))
        return states

    return run(read, tokens, max_tokens, rows, model.device)


def pooled_states(
    hidden: Callable[[Batch], torch.Tensor],
    pooling: str,
    tokens: Split,
    max_tokens: int,
    rows: np.ndarray | None = None,
    device: str | torch.device = "cpu",
    role: str = "large",
) -> np.ndarray:
    """Return pooled states [n, w] of a split (or of `rows`); `hidden` computes a batch's states [b, t, w] of the tokens
    of a pair's "large" or "small" model."""

    def pooled(batch: Batch) -> torch.Tensor:
        return pool(hidden(batch), read_by(role, batch)["attention_mask"], pooling)

    return run(pooled, tokens, max_tokens, rows, device)


def fit_rows(rows: int, count: int) -> np.ndarray:
    """Draw `count` of `rows` train rows for fitting heads, with a fixed seed; returns them in order."""
    if count >= rows:
        return np.arange(rows)
    return np.sort(np.random.default_rng(FIT_SEED).choice(rows, count, replace=False))


def save_states(states: dict[str, np.ndarray], path: Path) -> None:
    """Write named arrays as safetensors."""
    save_file({name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in states.items()}, path)


def load_states(folder: Path) -> dict[str, np.ndarray]:
    """Memory-map what `save_states` wrote into a folder."""
    return {name: tensor.numpy() for name, tensor in load_file(folder / "states.safetensors").items()}
