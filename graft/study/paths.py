"""Paths of a study's files that several steps share; what a single step makes stands in its room."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

RESULTS = Path("results")


@dataclass(frozen=True)
class Paths:
    """Paths below one study's results folder."""

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

    def run(self, task: str, system: str, seed: int | str) -> Path:
        return self.root / "runs" / task / system / f"seed-{seed}"

    def checkpoints(self, fingerprint: str) -> Path:
        """Checkpoints of an unfinished fine-tuning; no rule's output, since Snakemake deletes those before a retry."""
        return self.root / "checkpoints" / fingerprint

    @property
    def jobs(self) -> Path:
        """Markers of the finished jobs that consist of several steps."""
        return self.root / "jobs"

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
