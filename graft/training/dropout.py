"""Dropout whose random numbers are drawn 16 bits at a time: torch draws 64 for each, one after another."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

# Probabilities are multiples of one in so many.
STEPS = 1 << 15
# Integers as wide as numbers of so many bytes.
_AS_WIDE = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def dropout(x: Tensor, p: float) -> Tensor:
    """`x` with elements set to 0 with probability `p`, to 1 / 32,768, and the others divided by the share that is kept.

    Draws from torch's generator of the CPU. `p` is 1 / 32,768 at least, and as far from 1.
    """
    kept = round((1 - p) * STEPS)
    draws = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    bits = draws.view(torch.int16)[: x.numel()].view(x.shape)
    # The sign is -1, all bits set, where a draw lies below `kept`, else 0: an `and` makes of it the factor or 0. Plain
    # comparisons, and turning truth into numbers, take three times as long.
    sign = bits.bitwise_and_(STEPS - 1).sub_(kept).bitwise_right_shift_(15)
    wide = _AS_WIDE[x.element_size()]
    factor = torch.tensor(STEPS / kept, dtype=x.dtype).view(wide).item()
    return x * sign.to(wide).bitwise_and_(factor).view(x.dtype)


def quick_dropout(device: str) -> AbstractContextManager[None]:
    """Around a forward pass: on a "cpu", modules and plain attention drop by `dropout`; elsewhere nothing changes.

    torch's own takes a twelfth of a fine-tuning on CPUs for which it has no parallel generator: all but Intel's, on
    which this was not measured. What computes activations again in the backward pass must be inside of it too.
    """
    return _Quick() if device == "cpu" else nullcontext()


class _Quick(TorchFunctionMode):
    """Takes the calls of `torch.nn.functional.dropout`."""

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is functional.dropout:
            func = _called
        return func(*args, **(kwargs or {}))


def _called(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    ours = training and not inplace and 1 / STEPS <= p <= 1 - 1 / STEPS and input.device.type == "cpu"
    if not ours:
        return functional.dropout(input, p, training, inplace)
    return dropout(input, p)
