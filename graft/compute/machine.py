"""Facts about this machine that need no torch: its GPU, and the precision of its CPU."""

from pathlib import Path

from graft.registry import gpus

_DRIVERS, _CPU = Path("/proc/driver/nvidia/gpus"), Path("/proc/cpuinfo")


def gpu() -> str | None:
    """Name of the first GPU, if there is one that the table of GPUs has."""
    drivers = sorted(_DRIVERS.glob("*/information"))
    return gpus.named(drivers[0].read_text()) if drivers else None


def cpu_precision() -> str:
    """Precision in which the CPU trains fastest: bf16 if it computes in it, else fp32."""
    flags = _CPU.read_text() if _CPU.exists() else ""
    return "bf16" if "avx512_bf16" in flags or "amx_bf16" in flags else "fp32"
