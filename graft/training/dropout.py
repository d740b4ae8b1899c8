"""Dropout with 16 random bits per element, where torch draws 64 for each, one after another."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

# Probabilities are rounded to multiples of 1 / STEPS.
STEPS = 1 << 15
# Element size in bytes to the integer type of the same width.
_AS_WIDE = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def dropout(x: Tensor, p: float) -> Tensor:
    """Zero elements of `x` with probability `p`, rounded to 1 / 32,768, and divide the others by the kept share.

    Draws from torch's CPU generator. `p` must lie in [1 / 32,768, 1 - 1 / 32,768].
    """
    kept = round((1 - p) * STEPS)
    draws = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    bits = draws.view(torch.int16)[: x.numel()].view(x.shape)
    # `sign` is -1 (all bits set) if a draw is below `kept`, else 0, so a bitwise `and` turns it into the factor or 0.
    # Plain comparisons and casts from bool take three times as long.
    sign = bits.bitwise_and_(STEPS - 1).sub_(kept).bitwise_right_shift_(15)
    wide = _AS_WIDE[x.element_size()]
    factor = torch.tensor(STEPS / kept, dtype=x.dtype).view(wide).item()
    return x * sign.to(wide).bitwise_and_(factor).view(x.dtype)


def quick_dropout(device: str) -> AbstractContextManager[None]:
    """Context for a forward pass: on "cpu", modules and eager attention use `dropout`; elsewhere nothing changes.

    torch's own dropout takes a twelfth of a fine-tuning on CPUs for which it has no parallel generator: all but
    Intel's, on which this was not measured. A backward pass that recomputes activations must run inside it too.
    """
    return _Quick() if device == "cpu" else nullcontext()


class _Quick(TorchFunctionMode):
    """Intercepts calls of `torch.nn.functional.dropout`."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is functional.dropout:
            func = _called
        return func(*args, **(kwargs or {}))


def _called(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    ours = training and not inplace and 1 / STEPS <= p <= 1 - 1 / STEPS and input.device.type == "cpu"
    if not ours:
        return functional.dropout(input, p, training, inplace)
    return dropout(input, p)
