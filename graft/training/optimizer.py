"""AdamW, its parameter groups and its learning-rate schedule."""

import inspect
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn


class AdamW(torch.optim.AdamW):
    """torch's AdamW, step for step, without the import of torch's compiler: a second at the start of every job."""

    # torch's own functions without their decorators, which matter only where an optimizer is compiled.
    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Optimizer.zero_grad)
    step = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))


def parameter_groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Split parameters in two groups: weight decay spares the one-dimensional ones, biases and LayerNorm parameters."""
    parameters = list(parameters)
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def linear_schedule(step: int, warmup: int, steps: int, first: int = 0) -> float:
    """Factor of the learning rate at a step counted from 0: a linear rise in `warmup` steps, a linear fall to 0.

    The rise begins at `first / warmup`.
    """
    if step < warmup:
        return (step + first) / max(1, warmup)
    return max(0.0, (steps - step) / max(1, steps - warmup))
