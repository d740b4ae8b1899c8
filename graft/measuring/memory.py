"""The peak memory of inference: of torch's allocator on a GPU, of a process of its own on a CPU."""

from __future__ import annotations

import ctypes
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
    """Bytes that a system takes to answer these batches one after the other, its weights included; None where the
    system does not tell.

    On a CPU: how much larger than before loading the process is at its largest while it answers; some 30 MB of that are
    what torch and transformers take when they are first used. That process is forked, so this one must not have
    computed on several threads yet, which would not be there in the other. Raises RuntimeError where it dies.
    """
    return _on_gpu(load, batches) if device == "cuda" else _in_child(load, batches)


def _on_gpu(load: Callable[[], Answer], batches: Sequence[Batch]) -> int:
    # The first product allocates cuBLAS's work space, tens of MB that are no system's own.
    torch.nn.functional.linear(*torch.ones(2, 1, 1, device="cuda"), torch.ones(1, device="cuda"))
    before = torch.cuda.memory_allocated()
    answer = load()
    torch.cuda.reset_peak_memory_stats()
    _answer(answer, batches)
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
        _give_back()
        before = _resident("VmRSS")
        answer = load()
        # What loading took for a moment is no part of answering.
        _CLEAR.write_text(_RESET_PEAK)
    except OSError:
        sender.send(None)
        return
    _answer(answer, batches)
    sender.send(_resident("VmHWM") - before)


def _give_back() -> None:
    """Give the system what this process freed and kept; taken again while it answers, it would not be seen."""
    # glibc alone keeps so much, and has this.
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


def _answer(answer: Answer, batches: Sequence[Batch]) -> None:
    for batch in batches:
        answer(batch)


def _resident(what: str) -> int:
    """VmRSS or VmHWM of this process in bytes; raises OSError where there is no such file."""
    return 1024 * int(re.search(rf"{what}:\s+(\d+) kB", _STATUS.read_text()).group(1))
