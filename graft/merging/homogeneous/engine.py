"""Merging tensor after tensor: several threads read, compute and write, each in blocks of a megabyte.

A thread that waits for the disk leaves the core to another, so reading, computing and writing overlap; what is held in
memory is a few blocks per thread, or one whole tensor where a method factorises matrices. Every block has its place in
a file beforehand, so that none waits for another.
"""

from __future__ import annotations

import os
from concurrent.futures import Executor, as_completed
from typing import Any

import numpy as np

from graft.merging.homogeneous.models import Models
from graft.merging.homogeneous.protocol import Method
from graft.merging.homogeneous.shards import Slot, Writer
from graft.progress import Report


def workers() -> int:
    """Threads of a merge: one more than cores, so that one may wait; more than four are of no use to a disk."""
    return min(os.cpu_count() or 1, 4) + 1


def slots(models: Models, dtype: str | None) -> list[Slot]:
    """What is to be written: the origin's tensors, floating-point ones as `dtype`, or as the origin has them.

    Their order depends on names and dtypes alone, the widest first, so that each lies aligned.
    """
    found = [
        Slot(name, dtype if dtype and info.floating else info.dtype, info.shape)
        for name, info in models.origin.tensors.items()
    ]
    return sorted(found, key=lambda slot: (-slot.item, slot.name))


def merge_all(method: Method, models: Models, writer: Writer, pool: Executor, report: Report) -> None:
    """Write every tensor of the merged model. Raises ValueError for a number that is not finite in any model or in the
    merged one."""
    report(0, 0, "reading the models")
    survey = method.survey(models, pool.map)
    # The largest first, so that threads end together.
    names = sorted(models.origin.tensors, key=lambda name: -models.origin.tensors[name].count)
    jobs = [pool.submit(merge_tensor, method, models, writer, name, survey) for name in names]
    for done, job in enumerate(as_completed(jobs), 1):
        job.result()
        report(done, len(jobs), "tensors")


def merge_tensor(method: Method, models: Models, writer: Writer, name: str, survey: Any) -> None:
    """Write one tensor of the merged model."""
    info = models.origin.tensors[name]
    if not info.floating:
        writer.write(name, 0, models.origin.stored(name))
        return
    # What overflows is told once, by name, where it is written.
    with np.errstate(all="ignore"):
        measured = method.measure(models, name, survey)
        for block in models.blocks(name, method.whole(models, name)):
            try:
                writer.write(name, block.start, block.origin + method.change(models, block, measured))
            except OverflowError as error:
                raise ValueError(f"merged model: {name} {error}") from None
