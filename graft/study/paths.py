"""Paths of a study's files: the only module that knows the layout of `results/<study>/`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

RESULTS = Path("results")


@dataclass(frozen=True)
class Paths:
    """Paths below one study's results folder; `{wildcards}` may stand in place of names."""

    root: Path

    @classmethod
    def of(cls, study: str) -> Paths:
        return cls(RESULTS / study)

    @property
    def study(self) -> Path:
        """Resolved config that programs read."""
        return self.root / "study.json"

    @property
    def lock(self) -> Path:
        """Lock held by the snakemake that runs this study."""
        return self.root / ".lock"

    @property
    def jobs_lock(self) -> Path:
        """Lock shared by the jobs that write into this study."""
        return self.root / ".jobs.lock"

    def data(self, task: str) -> Path:
        return self.root / "data" / task

    def tokens(self, task: str, tokenizer: str) -> Path:
        return self.root / "tokens" / task / tokenizer

    def model(self, model: str) -> Path:
        return self.root / "models" / model

    def embeddings(self, task: str, model: str) -> Path:
        """Frozen states of a pre-trained model on train and select."""
        return self.root / "embeddings" / task / model

    def layers(self, task: str, pair: str) -> Path:
        """States of all tokens of train and select at the layers of a pair's large model that small layers map to."""
        return self.root / "layers" / task / pair

    def statistics(self, task: str, pair: str, depth: str) -> Path:
        """Activation statistics of a pair's layers under a depth map, from `calibrate`."""
        return self.root / "statistics" / task / pair / depth

    def model_statistics(self, task: str, system: str, seed: int | str, statistic: str) -> Path:
        """Statistic of one model for a same-shape merge: `fisher` or `gram`."""
        return self.root / "model-statistics" / task / system / f"seed-{seed}" / statistic

    def encoder(self, system: str, seed: int | str) -> Path:
        """Encoder merged from the fine-tunings of all tasks."""
        return self.root / "encoders" / system / f"seed-{seed}"

    def sweep(self, task: str, merge: str, pair: str, seed: int | str) -> Path:
        """States of a merged body at every strength."""
        return self.root / "sweeps" / task / merge / pair / f"seed-{seed}"

    def run(self, task: str, system: str, seed: int | str) -> Path:
        return self.root / "runs" / task / system / f"seed-{seed}"

    def checkpoints(self, fingerprint: str) -> Path:
        """Checkpoints of an unfinished fine-tuning; no rule's output, since Snakemake deletes those before a retry."""
        return self.root / "checkpoints" / fingerprint

    def costs(self, task: str) -> Path:
        """Measured inference cost of the architectures of a task's systems."""
        return self.root / "costs" / f"{task}.json"

    @property
    def tables(self) -> Path:
        return self.root / "tables"

    @property
    def figures(self) -> Path:
        return self.root / "figures"

    @property
    def report(self) -> Path:
        return self.root / "report.html"

    @property
    def logs(self) -> Path:
        return self.root / "logs"
