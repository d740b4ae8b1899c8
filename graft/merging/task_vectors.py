"""Substitutes for the small model's change, used as controls to see whether the change itself matters.

Each keeps the pre-trained small model and the norm of every tensor's change, but no information about the task.
"""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

from graft.encoders.architecture import EMBEDDING_TABLES
from graft.registry.methods import CHANGES


def finetuned_with(
    change: str, pretrained: Mapping[str, Tensor], finetuned: Mapping[str, Tensor], seed: int | str
) -> Mapping[str, Tensor]:
    """The fine-tuned small body with its change kept (`finetuned`, `wrong-task`) or replaced (`shuffled`, `random`).

    shuffled: the entries of every tensor's change are permuted. random: normal noise with the same norm. In embedding
    tables both are done row by row, so that the change stays with the tokens that fine-tuning saw. The random numbers
    depend on (seed, tensor name) alone. Raises ValueError for an unknown kind of change.
    """
    if change not in CHANGES:
        raise ValueError(f"no change is called {change!r}; available: {', '.join(CHANGES)}")
    if change in ("finetuned", "wrong-task"):
        return finetuned
    return {name: before + _unlike(change, finetuned[name] - before, name, seed) for name, before in pretrained.items()}


def _unlike(change: str, delta: Tensor, name: str, seed: int | str) -> Tensor:
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    rows = delta if name in EMBEDDING_TABLES else delta.reshape(1, -1)
    noise = torch.randn(rows.shape, generator=generator, dtype=torch.float64).to(delta.device)
    if change == "shuffled":
        return rows.gather(1, noise.argsort(dim=1)).reshape(delta.shape)
    norms = rows.norm(dim=1, keepdim=True) / noise.norm(dim=1, keepdim=True).clamp(min=1e-300)
    return (noise * norms).to(delta.dtype).reshape(delta.shape)
