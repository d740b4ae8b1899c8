"""Threads, device and precision of a process, and its time, memory and energy. Imports torch only in functions."""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path
from typing import Any

from graft.compute import machine


def use_threads(count: int) -> None:
    """Compute with `count` CPU threads, deterministically."""
    import torch

    # cuBLAS is deterministic only with this setting, which is read when CUDA starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(count)
    # As `torch.use_deterministic_algorithms` does, which also imports torch's compiler: a second of CPU time.
    torch.set_deterministic_debug_mode("warn")
    # Deterministic mode also fills new tensors with NaN, to expose uninitialized reads: 7% of a fine-tuning on a CPU.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def device_of(launch: Any) -> str:
    """Resolve `launch.device` on this machine to "cpu" or "cuda"; raises ValueError for cuda without a GPU."""
    import torch

    if launch.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("launch.device: cuda was requested, but torch sees no GPU; set it to auto or cpu")
    return "cuda" if launch.device != "cpu" and torch.cuda.is_available() else "cpu"


def on_cpu(launch: Any) -> Any:
    """Return `launch` with device cpu, for steps that need no GPU and may run without one, whatever the study's."""
    return launch.model_copy(update={"device": "cpu"})


def precision_of(launch: Any) -> str:
    """Resolve `launch.precision` on this machine; auto is bf16 if the hardware computes in it, else fp32."""
    import torch

    if launch.precision != "auto":
        return launch.precision
    if device_of(launch) == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return machine.cpu_precision()


class Stopwatch:
    """Time since a job began to compute, and energy if it can be read; `launch` gives the device."""

    def __init__(self, launch: Any) -> None:
        from graft.compute import energy

        # A process reads its own GPU only, which is not the whole job if it is one of several.
        alone = int(os.environ.get("WORLD_SIZE", 1)) == 1
        self._meter = energy.meter(device_of(launch)) if alone else None
        self._joules = self._meter.joules() if self._meter else 0.0
        self._started = time.perf_counter()
        _forget_peak()

    def after(self, seconds: float) -> Stopwatch:
        """Add `seconds` of earlier attempts, whose energy is unknown, so that none is reported if there were any."""
        self._started -= seconds
        if seconds:
            self._meter = None
        return self

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._started

    def measured(self) -> dict[str, float | int | None]:
        """Wall seconds, peak memory of this process since then in bytes, joules of the GPU or of the CPU packages.

        Joules are None if no counter can be read, or if it would not cover the whole job.
        """
        joules = self._meter.joules() - self._joules if self._meter else None
        return {"wall_seconds": self.seconds, "peak_memory_bytes": _peak_bytes(), "energy_joules": joules}


def _forget_peak() -> None:
    """Let the peak of this process's memory begin at what it has now; earlier steps of a job have theirs."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_bytes() -> int:
    with contextlib.suppress(OSError):
        if found := re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text()):
            return int(found[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
