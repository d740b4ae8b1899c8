"""Schema of costs/<task>.json, the measurements of a task's architectures by `measure_cost`. Imports no torch."""

from pathlib import Path
from typing import Any

from graft.io import files
from graft.study.records import Part


class Measurement(Part):
    """Inference cost of one architecture, from token ids in memory to logits in memory."""

    latency_p50_seconds: float
    """Of one text alone, over all timed answers."""
    latency_p90_seconds: float
    examples_per_second: float
    """In batches of texts of similar length; the median over rounds."""
    inference_peak_memory_bytes: int | None = None
    """Weights and everything else that a pass over these batches needs: on a GPU by torch's allocator, on a CPU the
    growth of a separate process; None if it cannot be read."""
    energy_joules_per_example: float | None = None
    """In these batches, of the whole GPU or of the CPU packages; None if no counter can be read."""


class Measurements(Part):
    """Measurements of all architectures of one task, from one job that had the machine to itself."""

    fingerprint: str
    task: str
    texts: int
    """Number of texts of report that were run."""
    batch_size: int
    rounds: int
    device: str
    hardware: str
    """Name of the GPU, or of the processor."""
    threads: int
    architectures: dict[str, Measurement]
    runs: dict[str, str]
    """The architecture of each run whose model was measured."""
    provenance: dict[str, Any]


def read(path: str | Path) -> Measurements:
    """Read one costs/<task>.json; raises ValueError that names the file and the field."""
    return Measurements.of_file(path)


def write(path: str | Path, found: Measurements) -> None:
    """Write costs/<task>.json atomically."""
    files.write_json(path, found.model_dump(mode="json"))
