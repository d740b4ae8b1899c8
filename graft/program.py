"""What all programs of the workflow share: the study they belong to, one-line errors, threads, progress."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from graft import cluster, ending, locks
from graft.grid import ALL_SEEDS, Grid
from graft.paths import Paths
from graft.progress import progress as progress
from graft.study import load


def parser(description: str | None) -> argparse.ArgumentParser:
    """An argument parser with `--study`, the resolved config of the study."""
    result = argparse.ArgumentParser(description=description)
    result.add_argument("--study", type=Path, required=True, help="results/<study>/study.json")
    return result


def context(args: argparse.Namespace) -> tuple[Grid, Paths]:
    """The study's grid and the paths of its results; from here on this process counts as a job of the study."""
    paths = Paths(args.study.parent)
    locks.share(paths.jobs_lock)
    locks.refuse_orphan(paths.lock)
    locks.hold_log()
    cluster.register(paths.root)
    return Grid(load(args.study)), paths


def of_system(
    purpose: str | None, fingerprint: Callable[[Grid, str, str, int | str], str] = Grid.made
) -> tuple[argparse.Namespace, Grid, Paths]:
    """What a program about one system on one task with one seed is told, checked against its `fingerprint`; from here
    on it computes with the study's threads. Raises ValueError as `check_fingerprint` does."""
    arguments = parser(purpose)
    arguments.add_argument("--task", required=True)
    arguments.add_argument("--system", required=True)
    arguments.add_argument("--seed", type=lambda s: s if s == ALL_SEEDS else int(s), required=True)
    arguments.add_argument("--fingerprint", required=True)
    args = arguments.parse_args()
    grid, paths = context(args)
    check_fingerprint(fingerprint(grid, args.task, args.system, args.seed), args.fingerprint, args.system)
    use_threads(grid.study.launch.threads)
    return args, grid, paths


def run(main: Callable[[], None]) -> None:
    """Call a program's `main`, which ends as `graft.ending.run` says."""
    ending.run(Path(sys.argv[0]).stem, main)
    _leave_processes()


def _leave_processes() -> None:
    """Take down what the processes of a fine-tuning talk over, as torch asks for; one that did not has aborted at its
    very end, with its work done."""
    distributed = sys.modules.get("torch.distributed")
    if distributed and distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def check_fingerprint(expected: str, given: str, what: str) -> None:
    """Raise ValueError if the config on disk is not the one this job was scheduled with."""
    if expected != given:
        raise ValueError(
            f"{what}: study.json changed after this job was scheduled ({given} is now {expected}); run snakemake again"
        )


def use_threads(count: int) -> None:
    """Compute with `count` CPU threads, deterministically."""
    import torch

    # Without it cuBLAS is not deterministic; it is read when CUDA starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(count)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # It fills new tensors with NaN besides, to find reads of what nobody wrote: 7% of a fine-tuning on a CPU.
    torch.utils.deterministic.fill_uninitialized_memory = False


def device_of(launch: Any) -> str:
    """The device that `launch.device` means here: "cpu" or "cuda"."""
    import torch

    if launch.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("launch.device: cuda is asked for, but torch sees no GPU; set it to auto or cpu")
    return "cuda" if launch.device != "cpu" and torch.cuda.is_available() else "cpu"


def on_cpu(launch: Any) -> Any:
    """`launch` for a step that needs no GPU and may run where there is none, whatever the study's device."""
    return launch.model_copy(update={"device": "cpu"})


def precision_of(launch: Any) -> str:
    """The precision that `launch.precision` means here: bf16 where the hardware computes in it, else fp32."""
    import torch

    if launch.precision != "auto":
        return launch.precision
    if device_of(launch) == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return "bf16" if "avx512_bf16" in flags or "amx_bf16" in flags else "fp32"


class Stopwatch:
    """Time, and energy where it can be read, since a job began to compute as `launch` says."""

    def __init__(self, launch: Any) -> None:
        from graft.cost import energy

        # A process reads its own GPU, which is not all where it is one of several.
        alone = int(os.environ.get("WORLD_SIZE", 1)) == 1
        self._meter = energy.meter(device_of(launch)) if alone else None
        self._joules = self._meter.joules() if self._meter else 0.0
        self._started = time.perf_counter()

    def after(self, seconds: float) -> Stopwatch:
        """The same, with `seconds` of earlier attempts, of whose energy nothing is known."""
        self._started -= seconds
        if seconds:
            self._meter = None
        return self

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._started

    def measured(self) -> dict[str, float | int | None]:
        """Wall seconds, the peak memory of this process in bytes, and joules of the whole GPU or of the CPU packages
        (None where no counter can be read, or one would not do)."""
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        joules = self._meter.joules() - self._joules if self._meter else None
        return {"wall_seconds": self.seconds, "peak_memory_bytes": peak, "energy_joules": joules}
