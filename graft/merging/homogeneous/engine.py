"""Merge a model tensor by tensor: several threads read, compute and write, in blocks of about a megabyte.

A thread that waits for the disk frees its core for another, so reading, computing and writing overlap. Each thread
holds a few blocks in memory, or one whole tensor if the method factorises matrices. Every block's place in its file is
known beforehand, so none waits for another.
"""

import os
from concurrent.futures import Executor, as_completed
from typing import Any

import numpy as np

from graft.io.progress import Report
from graft.merging.homogeneous.averages import Average
from graft.merging.homogeneous.formats import STORED
from graft.merging.homogeneous.models import Models
from graft.merging.homogeneous.protocol import Method
from graft.merging.homogeneous.shards import Target


def workers() -> int:
    """Number of threads: one more than cores, so that one may wait; beyond four cores the disk gains nothing."""
    return min(os.cpu_count() or 1, 4) + 1


def merge_all(method: Method, models: Models, survey: Any, writer: Target, pool: Executor, report: Report) -> None:
    """Write every tensor of the merged model; tensors that the origin lacks become the models' average.

    survey: the method's, which is the same for all strengths. Raises ValueError if a value is not finite, in any model
    or in the merged one.
    """
    parts: list[tuple[Method, Models, Any]] = [(method, models, survey)]
    if heads := models.without_change:
        parts.append((Average(), heads, None))
    if models.head:
        parts.append((Average(), Models(models.head, (models.head,), (1.0,)), None))
    tensors = [(info.count, name, part) for part in parts for name, info in part[1].origin.tensors.items()]
    # The largest first, so that threads end together.
    tensors.sort(key=lambda tensor: -tensor[0])
    jobs = [
        pool.submit(merge_tensor, method, models, writer, name, survey) for _, name, (method, models, survey) in tensors
    ]
    for done, job in enumerate(as_completed(jobs), 1):
        job.result()
        report(done, len(jobs), "tensors")


def merge_tensor(method: Method, models: Models, writer: Target, name: str, survey: Any) -> None:
    """Write one tensor of the merged model, and the tensors tied to it."""
    places = name, *models.ties.get(name, ())
    info = models.origin.tensors[name]
    if not info.floating:
        # Values are equal in all models; stored widths may differ.
        for place in places:
            writer.write(place, 0, models.origin.stored(name).astype(STORED[writer.dtype(place)]))
        return
    # The writer reports an overflow once, with the tensor's name.
    with np.errstate(all="ignore"):
        measured = method.measure(models, name, survey)
        for block in models.blocks(name, method.whole(models, name)):
            merged = block.origin + method.change(models, block, measured)
            try:
                for place in places:
                    writer.write(place, block.start, merged)
            except OverflowError as error:
                raise ValueError(f"merged model: {name} {error}") from None
