"""Heads, states and poolers to fit with, drawn from seeds."""

import torch

from graft.merging.classifier_heads.head import Head


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def head_of(width, outputs, seed=1):
    return Head(
        random(width, width, seed=seed), random(width, seed=seed + 1),
        random(outputs, width, seed=seed + 2), random(outputs, seed=seed + 3),
    )  # fmt: skip


HIDDEN = random(80, 6, seed=11)
POOLER = 0.3 * random(6, 6, seed=9), random(6, seed=10)


# A body's own pooler, without a classifier.
OWN = Head(*POOLER, torch.zeros(0, 6, dtype=torch.float64), torch.zeros(0, dtype=torch.float64))
