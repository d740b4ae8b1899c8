"""Jobs: what Snakemake schedules where several steps share a process. Imports no torch.

Steps that read the same models, tokens and states are done one after the other in one process, which loads these once.
Each step is still made again by its own fingerprint alone (graft.study.working). All other steps are separate jobs.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from graft.study.paths import Paths

_RUN = "{task}/{system}/seed-{seed}"
# Rule of each kind of job, and the place of its marker and log, whose wildcards are those of the rule:
PLACES = {
    # a fine-tuning, and its evaluation;
    "finetune_model": _RUN,
    "warm_start": _RUN,
    # all fine-tunings of a model with fractions of its steps, for one task and seed;
    "budget_model": "{task}/{model}/seed-{seed}",
    # the probes of a task, which others wait for, and their evaluations;
    "make_probes": "{task}",
    # all systems of a task and seed that are made of finished models: sweeps, merges, controls, evaluations;
    "make_systems": "{task}/seed-{seed}",
    # what is made of fine-tunings of several seeds;
    "make_soups": "{task}",
    # what is made of fine-tunings of several tasks, or by one of all of them.
    "make_multitask": "seed-{seed}",
}


@dataclass(frozen=True)
class Job:
    """A job of several steps: its rule, and the values of the rule's wildcards."""

    rule: str
    values: tuple[str, ...]

    @classmethod
    def of(cls, rule: str, values: Mapping[str, str | int]) -> Job:
        """The job with these wildcards; others are ignored."""
        return cls(rule, tuple(str(values[name]) for name in wildcard_names(rule)))

    @classmethod
    def pattern(cls, rule: str) -> Job:
        """The job with its wildcards in braces, whose paths are those of its rule."""
        return cls.of(rule, {name: f"{{{name}}}" for name in wildcard_names(rule)})

    @property
    def _place(self) -> str:
        return PLACES[self.rule].format(**dict(zip(wildcard_names(self.rule), self.values, strict=True)))

    def marker(self, paths: Paths) -> Path:
        """The file that says that all its steps are done: the rule's only output."""
        return paths.jobs / self.rule / f"{self._place}.json"

    def log(self, paths: Paths) -> Path:
        return paths.logs / self.rule / f"{self._place}.log"

    def __str__(self) -> str:
        return " ".join((self.rule, *self.values))


def wildcard_names(rule: str) -> tuple[str, ...]:
    """Wildcards of a job's rule, which are its program's arguments."""
    return tuple(name for _, name, _, _ in string.Formatter().parse(PLACES[rule]) if name)
