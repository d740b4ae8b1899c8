"""Passes recorded as CUDA graphs, whose kernels a GPU starts by itself.

A batch of 32 sentences gives a GPU less to do than starting over a thousand kernels from Python takes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from graft.encoders.inference import Batch

# (batch, labels) to the loss; adds its gradients to what parameters have.
Pass = Callable[[Batch, Tensor], Tensor]
# Batches are padded to multiples of so many tokens, so that few lengths are to be recorded.
MULTIPLE = 8


def padded(batch: Batch, most: int) -> Batch:
    """The batch, [rows, t] each, with zeros up to a multiple of `MULTIPLE` tokens, or to `most`."""
    tokens = next(iter(batch.values())).shape[1]
    missing = min(-(-tokens // MULTIPLE) * MULTIPLE, most) - tokens
    return {name: functional.pad(tensor, (0, missing)) for name, tensor in batch.items()}


@dataclass(frozen=True)
class _Recorded:
    graph: torch.cuda.CUDAGraph
    batch: Batch
    labels: Tensor
    loss: Tensor


class Replayed:
    """A pass that is run as it is for the first batch of a shape, recorded for the second, and replayed from then on.

    Gradients must stay where they are: zeroed, not taken away. Memory of activations is twice the usual: that of what
    is replayed, and that of what is not.
    """

    def __init__(self, run: Pass, most_tokens: int) -> None:
        self.run, self.most_tokens = run, most_tokens
        self.pool = torch.cuda.graph_pool_handle()
        self.recorded: dict[torch.Size, _Recorded | None] = {}

    def __call__(self, batch: Batch, labels: Tensor) -> Tensor:
        """The loss, which the next call may overwrite."""
        batch = padded(batch, self.most_tokens)
        shape = next(iter(batch.values())).shape
        if shape not in self.recorded:
            self.recorded[shape] = None
            return self.run(batch, labels)
        recorded = self.recorded[shape] or self._record(batch, labels)
        self.recorded[shape] = recorded
        for name, tensor in batch.items():
            recorded.batch[name].copy_(tensor)
        recorded.labels.copy_(labels)
        recorded.graph.replay()
        return recorded.loss

    def _record(self, batch: Batch, labels: Tensor) -> _Recorded:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool):
            loss = self.run(batch, labels)
        return _Recorded(graph, batch, labels, loss)
