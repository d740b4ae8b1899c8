"""Forward and backward passes recorded as CUDA graphs, whose kernels the GPU launches by itself.

Launching over a thousand kernels from Python takes longer than the GPU needs to compute a batch of 32 sentences.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from graft.encoders.inference import Batch

# Maps (batch, labels) to the loss and accumulates its gradients in the parameters.
Pass = Callable[[Batch, Tensor], Tensor]
# Batches are padded to a multiple of this many tokens, so that only a few lengths need recording.
MULTIPLE = 8


def padded(batch: Batch, most: int) -> Batch:
    """Pad the batch's tensors [rows, t] with zeros to a multiple of `MULTIPLE` tokens, at most to `most`."""
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
    """Runs a pass eagerly for the first batch of a shape, records it for the second, and replays it from then on.

    Gradients must keep their memory: zero them, never set them to None. Activations take twice the usual memory: once
    for replayed passes, once for eager ones.
    """

    def __init__(self, run: Pass, most_tokens: int) -> None:
        self.run, self.most_tokens = run, most_tokens
        self.pool = torch.cuda.graph_pool_handle()
        self.recorded: dict[torch.Size, _Recorded | None] = {}

    def __call__(self, batch: Batch, labels: Tensor) -> Tensor:
        """Return the loss, in a tensor that the next call may overwrite."""
        batch = padded(batch, self.most_tokens)
        shape = next(iter(batch.values())).shape
        if shape not in self.recorded:
            self.recorded[shape] = None
            return self.run(batch, labels)
        if (recorded := self.recorded[shape]) is None:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self.pool):
                loss = self.run(batch, labels)
            recorded = self.recorded[shape] = _Recorded(graph, batch, labels, loss)
        for name, tensor in batch.items():
            recorded.batch[name].copy_(tensor)
        recorded.labels.copy_(labels)
        recorded.graph.replay()
        return recorded.loss
