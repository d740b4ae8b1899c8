"""Peak memory of inference: from torch's allocator on a GPU, from a forked process on a CPU."""

import multiprocessing
import re
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from graft.encoders.inference import Batch
from graft.measuring.latency import Answer

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # man 5 proc, clear_refs


def peak_bytes(load: Callable[[], Answer], batches: Sequence[Batch], device: str) -> int | None:
    """Peak bytes that a system takes to run these batches one after the other, its weights included; None if the
    operating system does not report it.

    On a CPU: growth of a forked process from before loading to its peak while it runs the batches; some 30 MB of that
    are allocated by torch and transformers on first use. The calling process must not have computed on several threads
    yet, since a fork does not copy them. Raises RuntimeError if the forked process dies.
    """
    return _on_gpu(load, batches) if device == "cuda" else _in_child(load, batches)


def _on_gpu(load: Callable[[], Answer], batches: Sequence[Batch]) -> int:
    # The first matrix product allocates cuBLAS's workspace, tens of MB that no system is responsible for.
    one = torch.ones(1, 1, device="cuda")
    torch.nn.functional.linear(one, one, one[0])
    before = torch.cuda.memory_allocated()
    answer = load()
    torch.cuda.reset_peak_memory_stats()
    for batch in batches:
        answer(batch)
    return torch.cuda.max_memory_allocated() - before


def _in_child(load: Callable[[], Answer], batches: Sequence[Batch]) -> int | None:
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_grow, args=(sender, load, batches))
    child.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        child.join()
        raise RuntimeError(f"the process that measures memory ended with status {child.exitcode}") from None
    finally:
        child.join()


def _grow(sender: Connection, load: Callable[[], Answer], batches: Sequence[Batch]) -> None:
    try:
        before = _resident("VmRSS")
        answer = load()
        # Leave out the temporary peak of loading.
        _CLEAR.write_text(_RESET_PEAK)
    except OSError:
        sender.send(None)
        return
    for batch in batches:
        answer(batch)
    sender.send(_resident("VmHWM") - before)


def _resident(what: str) -> int:
    """VmRSS or VmHWM of this process in bytes; raises OSError if /proc has no such file."""
    return 1024 * int(re.findall(rf"{what}:\s+(\d+) kB", _STATUS.read_text())[0])
