"""States of an encoder on which a probe of its layers may be fitted. Imports no torch."""

from typing import NamedTuple, get_args

from graft.registry.options import Pooling

POOLED = get_args(Pooling)
_LAST = 4  # layers whose means are read together


class State(NamedTuple):
    """The output of a layer (0: the embeddings), pooled over the tokens."""

    layer: int
    pooling: str


States = tuple[State, ...]


def blocks(layers: int) -> list[States]:
    """Return the states whose products are summed together: both of each layer, then the means of the last four."""
    last = tuple(State(layer, "mean") for layer in range(max(1, layers - _LAST + 1), layers + 1))
    return [
        *(tuple(State(layer, how) for how in POOLED) for layer in range(layers + 1)),
        *([last] if layers > 1 else []),
    ]


def parts(block: States) -> list[slice]:
    """Return what a probe may read of a block: one state or both of a layer, but only all of several layers."""
    whole = slice(0, len(block))
    return [slice(0, 1), slice(1, 2), whole] if block[0].layer == block[-1].layer else [whole]


def name_of(states: States) -> str:
    """Name a choice: `4.mean`, `4.cls+4.mean`."""
    return "+".join(f"{layer}.{pooling}" for layer, pooling in states)
