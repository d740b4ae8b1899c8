"""Hidden states of every token at some layers of a frozen encoder, on which composites are trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from graft.encoders.inference import Batch, Split, batches
from graft.encoders.network import Encoder
from graft.encoders.spans import read_by
from graft.encoders.states import layer_states
from graft.tasks.tokens import TokenisedSplit

# Half the size of float32; LayerNorm outputs are far within its range.
KEPT = np.float16


class LayerStates:
    """Hidden states [tokens, k, w] of all tokens of a split, texts concatenated, and their offsets [rows + 1]."""

    def __init__(self, states: np.ndarray, offsets: np.ndarray) -> None:
        self.states, self.offsets = states, offsets

    @classmethod
    def load(cls, folder: Path, split: str) -> LayerStates:
        """Memory-map the states of a split written by `collect`."""
        return cls(np.load(folder / f"{split}.npy", mmap_mode="r"), np.load(folder / f"{split}.offsets.npy"))

    def batch(self, rows: np.ndarray, length: int) -> Tensor:
        """Return the states [b, length, k, w] of some texts, padded with zeros."""
        found = np.zeros((len(rows), length, *self.states.shape[1:]), dtype=np.float32)
        for line, row in enumerate(rows):
            start, end = self.offsets[row : row + 2]
            found[line, : end - start] = self.states[start:end]
        return torch.from_numpy(found)


@torch.no_grad()
def collect(
    model: Encoder,
    layers: Sequence[int],
    tokens: TokenisedSplit,
    max_tokens: int,
    path: Path | None = None,
    progress: Callable[[int], None] = lambda rows: None,
) -> LayerStates:
    """Run an encoder over a split and keep the outputs of `layers` (from 0), in memory or in the .npy file `path`."""
    offsets = np.concatenate([[0], np.cumsum(tokens.lengths(max_tokens))])
    shape = int(offsets[-1]), len(layers), model.shape.width
    states = np.lib.format.open_memmap(path, "w+", KEPT, shape) if path else np.empty(shape, KEPT)
    for rows, batch in batches(tokens, max_tokens):
        hidden = layer_states(model, layers, {name: value.to(model.device) for name, value in batch.items()})
        for row, found in zip(rows, hidden.cpu().numpy(), strict=True):
            start, end = offsets[row : row + 2]
            states[start:end] = found[: end - start]
        progress(len(rows))
    if path and isinstance(states, np.memmap):
        states.flush()
        np.save(path.with_name(f"{path.stem}.offsets.npy"), offsets)
    return LayerStates(states, offsets)


@dataclass(frozen=True)
class WithStates:
    """Tokenised texts together with frozen models' states of them, which are further inputs of a module, by name.

    Each of `states`, of the "large" or "small" model, takes rows and a length, and returns the rows' states padded to
    that length.
    """

    tokens: Split
    states: Mapping[str, Callable[[np.ndarray, int], Tensor]]

    def __len__(self) -> int:
        return len(self.tokens)

    def lengths(self, max_tokens: int) -> np.ndarray:
        return self.tokens.lengths(max_tokens)

    def batch(self, rows: np.ndarray, max_tokens: int) -> Batch:
        batch = self.tokens.batch(rows, max_tokens)
        lengths = {role: read_by(role, batch)["input_ids"].shape[1] for role in self.states}
        return batch | {role: of_rows(rows, lengths[role]) for role, of_rows in self.states.items()}
