"""Schema of run.json, the record of one finished run, and its list of measured fields. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from graft.io import files

# Fields from a clock, a meter or the host: the only ones that differ between two equal runs.
MEASURED = (
    "cost.peak_memory_bytes",
    "cost.wall_seconds",
    "cost.energy_joules",
    "provenance.hardware",
    "provenance.host",
    "provenance.slurm_job_id",
    "provenance.finished",
    "provenance.evaluated",
)


class Part(BaseModel):
    """Base class of the record's parts: immutable, and unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, populate_by_name=True)

    @classmethod
    def of_file(cls, path: str | Path) -> Self:
        """Read a JSON file; raises ValueError that names the file and the field."""
        values = files.read_json(path)
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            problem = error.errors()[0]
            field = ".".join(str(part) for part in problem["loc"]) or "the record"
            raise ValueError(f"{path}: {field}: {problem['msg']}; delete it and run snakemake again") from None


class Metric(Part):
    """One metric on `report`."""

    value: float
    stderr: float | None
    """Standard error over the examples."""
    n: int
    """Examples."""


class Selected(Part):
    """The metric on `select`, by which this system may be chosen among others."""

    metric: str
    value: float


class Tried(Part):
    """One searched value and its score on `select`."""

    value: Any
    ridge: float | None = None
    """Of the head, where strength and ridge size are searched together."""
    score: float | None
    """None where the metric is not a number."""


class Choice(Part):
    """A choice made on `select`."""

    name: str
    metric: str
    chosen: Any
    searched: tuple[Tried, ...]


class Cost(Part):
    """Cost of making and using the system."""

    train_flops: int
    """All compute from the published checkpoints to this one model, as if it were built alone: what was multiplied, and
    what distilled or pre-trained models in this study."""
    train_flops_parts: dict[str, int]
    """The computations that `train_flops` sums; a key names a computation uniquely in the study."""
    nominal_flops: int | None = None
    """The same sum with the padding that packed batches leave out; None in records that are older than this field."""
    pretraining_flops: int
    """What of `train_flops` distilled or pre-trained models in this study."""
    inference_flops: int
    """Per example of 128 tokens."""
    inference_flops_real: float
    """Per example at the report split's real lengths, on average."""
    parameters: int
    bytes: int
    """Of the weights in storage."""
    peak_memory_bytes: int | None = None
    """Of the process that made the system; what its use takes is measured by architecture (`cost.measurements`)."""
    wall_seconds: float | None = None
    """Of the making."""
    energy_joules: float | None = None
    """Of the whole GPU, or of the CPU packages, during the making; None where no counter can be read."""

    @model_validator(mode="before")
    @classmethod
    def _without_latency(cls, values: Any) -> Any:
        """Drop a field that version 0.1 wrote but never measured, so that its records can still be read."""
        if isinstance(values, dict) and values.get("latency_seconds", 0) is None:
            return {name: value for name, value in values.items() if name != "latency_seconds"}
        return values


class Provenance(Part):
    """Origin of the record."""

    fingerprint: str
    """Hash of everything the run depends on; `gather` compares it with the config's."""
    code_version: str
    packages: dict[str, str]
    data_sha256: dict[str, str]
    model_sha256: dict[str, str]
    predictions_sha256: str | None = None
    """Of predictions.parquet; None in records that are older than this field."""
    hardware: dict[str, Any]
    host: str
    slurm_job_id: str | None = None
    threads: int
    device: str
    precision: str
    """Of training; inference is in fp32."""
    finished: str
    """Local time with its offset, ISO 8601."""
    evaluated: dict[str, Any] = {}
    """The same about the job that evaluated it; everything above is about the job that made it."""


class RunRecord(Part):
    """One system on one task with one seed."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    study: str
    task: str
    system: str
    kind: Literal["finetune", "probe", "baseline", "weights", "composite", "soup", "multitask", "control", "oracle"]
    seed: int | Literal["all"]
    """`all`: this run stands for every seed."""
    label_use: Literal["none", "select", "train"]
    primary_metric: str
    metrics: dict[str, Metric]
    degenerate: bool
    """All predictions are the same."""
    select: Selected | None
    """None where the system has no score on `select`."""
    cost: Cost
    hyperparameters: dict[str, Any]
    choices: tuple[Choice, ...]
    diagnostics: dict[str, float] = {}
    """What a method found out about itself, e.g. the share of the large model's variance that its maps miss."""
    provenance: Provenance

    @model_validator(mode="after")
    def _whole(self) -> RunRecord:
        if self.primary_metric not in self.metrics:
            raise ValueError(f"primary_metric {self.primary_metric} is not among the metrics {list(self.metrics)}")
        return self

    @property
    def primary(self) -> Metric:
        return self.metrics[self.primary_metric]


def read(path: str | Path) -> RunRecord:
    """Read one run.json; raises ValueError that names the file and the field."""
    return RunRecord.of_file(path)


def write(path: str | Path, record: RunRecord) -> None:
    """Write run.json atomically; raises ValueError if a number is NaN or infinite."""
    files.write_json(path, record.model_dump(mode="json", by_alias=True))


def without_measured(record: RunRecord) -> dict[str, Any]:
    """Return the record without its measured fields; equal runs agree in all the others."""
    values = record.model_dump(mode="json", by_alias=True)
    for field in MEASURED:
        part, name = field.split(".")
        del values[part][name]
    return values
