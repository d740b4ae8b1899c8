"""The common base of all steps. A step is the smallest part of a study that is made again. Imports no torch."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Self

from graft.io import files
from graft.study.grid import Grid
from graft.study.grid_systems import System
from graft.study.paths import Paths
from graft.study.sizes import Sizes
from graft.study.steps.job import Job

# Part of every fingerprint. Bump it to invalidate all older results; a step whose own meaning changed gives its
# `hash_of` another number.
RECIPE = 3
# Categories of files in the plan, in its order.
TEXTS, PRETRAINED, SAVED, STATES, RECORDS = FILES = (
    "texts and token ids",
    "pre-trained models",
    "saved models",
    "states (embeddings, sweeps, statistics)",
    "predictions and records",
)
# Bytes of a weight, a state or a token id; sums of moments are in float64.
NUMBER = 4
# What `depends_on` says of the settings that inference depends on.
INFERENCE = "launch.device, launch.threads"


@dataclass(frozen=True)
class Work:
    """FLOPs of one part of a step, named as in run.json's `train_flops_parts`.

    `mode`: "training" (in `launch.precision`), "inference" (always fp32), or "closed form" (in fp64).
    """

    name: str
    flops: int
    mode: str = "inference"


@dataclass(frozen=True)
class Step(ABC):
    """One step; its fields say which one among those of its rule.

    `rule`: name of its rule, and of its program in `workflow_scripts`. `made`: its output below `results/<study>/`, its
    fields in braces. `place`: its log below `logs/<rule>/`, where not as in `made`. `files`: category of what it
    writes, one of FILES. `temporary`: whether nothing reads its folder once all systems are made, so that `clean`
    deletes it. `work_kind`: row of its work in the plan. `local`: whether its job runs beside Snakemake, not on a node.
    """

    rule: ClassVar[str]
    made: ClassVar[str]
    place: ClassVar[str | None] = None
    files: ClassVar[str | None] = None
    temporary: ClassVar[bool] = False
    work_kind: ClassVar[str | None] = None
    local: ClassVar[bool] = False

    @classmethod
    def wildcard_names(cls) -> tuple[str, ...]:
        """Wildcards of its rule, which are its program's arguments."""
        return tuple(field.name for field in fields(cls))

    @classmethod
    def of(cls, values: Mapping[str, str]) -> Self:
        """The step with these wildcards."""
        return cls(*(_seed(values[name]) if name == "seed" else values[name] for name in cls.wildcard_names()))

    @classmethod
    def pattern(cls) -> Self:
        """The step with its wildcards in braces, whose paths are those of its rule."""
        return cls.of({name: f"{{{name}}}" for name in cls.wildcard_names()})

    @property
    def wildcards(self) -> tuple[str | int, ...]:
        """Values of `wildcard_names`."""
        return tuple(vars(self).values())

    def __str__(self) -> str:
        return " ".join(map(str, (self.rule, *vars(self).values())))

    @abstractmethod
    def inputs(self, grid: Grid) -> list[Step]:
        """The steps whose outputs it reads."""

    def output(self, paths: Paths) -> Path:
        """The file that marks it as done: its manifest, build.json, run.json or table."""
        return paths.root / self.made.format(**vars(self))

    def outputs(self, grid: Grid, paths: Paths) -> list[Path]:
        """All files that its rule declares."""
        return [self.output(paths)]

    def job(self, grid: Grid) -> Job | None:
        """The job in which it is done together with others; None if it is a separate job."""
        return None

    def declared(self, grid: Grid, paths: Paths) -> Path:
        """The file by which Snakemake knows that it is done."""
        job = self.job(grid)
        return job.marker(paths) if job else self.output(paths)

    def reads(self, grid: Grid, paths: Paths) -> list[Path]:
        """Files that its rule declares as inputs."""
        return list(dict.fromkeys(step.declared(grid, paths) for step in self.inputs(grid)))

    def loads(self, grid: Grid) -> list[Making]:
        """The systems whose saved models it reads."""
        return [step for step in self.inputs(grid) if isinstance(step, Making)]

    def log(self, paths: Paths) -> Path:
        """The log that its rule writes."""
        place = self.place or "/".join(self.made.split("/")[1:-1])
        log = f"{self.rule}/{place}".rstrip("/") + ".log"
        return paths.logs / log.format(**vars(self))

    def fingerprint(self, grid: Grid) -> str:
        """Hash of the part of the config that it depends on and of its inputs' fingerprints.

        External data and weights enter by sha256 or revision; raises ValueError if a local source is missing.
        """
        if self not in grid.fingerprints:
            grid.fingerprints[self] = self.hashed(grid)
        return grid.fingerprints[self]

    def shares(self, grid: Grid) -> object:
        """Key of what it computes in common with others; in a job, steps of one key follow one another."""
        return self

    def needs(self, grid: Grid, paths: Paths) -> list[Making]:
        """The systems whose saved models it would read now."""
        return self.loads(grid)

    def holds(self, grid: Grid) -> list[Making]:
        """The systems whose models stay until it is done."""
        return self.loads(grid)

    def recorded(self, paths: Paths) -> str | None:
        """The fingerprint with which it was made; None if it is not made."""
        output = self.output(paths)
        return files.read_json(output)["fingerprint"] if output.is_file() else None

    def is_done(self, grid: Grid, paths: Paths) -> bool:
        """Whether it is made, by this config, and not before the systems that it was made of."""
        if self.recorded(paths) != self.fingerprint(grid):
            return False
        made = self.output(paths).stat().st_mtime
        systems = (step.output(paths) for step in self.inputs(grid) if isinstance(step, Making))
        return all(path.stat().st_mtime <= made for path in systems if path.is_file())

    def hashed(self, grid: Grid) -> str:
        """Compute the fingerprint."""
        raise NotImplementedError(f"{self.rule} has no fingerprint: snakemake alone decides when it runs")

    def depends_on(self, grid: Grid) -> str:
        """The config keys that the fingerprint covers, apart from the fingerprints of its inputs."""
        return ""

    def kind(self, grid: Grid) -> str | None:
        """Row of its work in the plan; None if it does no compute."""
        return self.work_kind

    def work(self, sizes: Sizes) -> Iterable[Work]:
        """Its FLOPs, in parts; raises Unknown for an unknown size."""
        return ()

    def bytes(self, sizes: Sizes) -> int:
        """Bytes that it writes; raises Unknown for an unknown size."""
        return 0


@dataclass(frozen=True)
class Making(Step):
    """A step that makes a system: it writes build.json beside `model/`."""

    task: str
    system: str
    seed: int | str

    made = "runs/{task}/{system}/seed-{seed}/build.json"
    files: ClassVar[str | None] = SAVED

    def model(self, paths: Paths) -> Path:
        """Folder of its model, if that is kept."""
        return self.output(paths).with_name("model")

    def parts(self, grid: Grid) -> list[Making]:
        """The systems whose models its own consists of."""
        return []

    def spec(self, grid: Grid) -> System:
        return grid.systems[self.system]

    @property
    def name(self) -> str:
        """Prefix of the names of its parts of work."""
        return f"{self.system}/{self.task}/seed-{self.seed}"


def hash_of(name: str, *parts: Any, recipe: int = RECIPE) -> str:
    """Fingerprint of a step from its name and all that it depends on. [16 hexadecimal digits]"""
    text = json.dumps([recipe, name, *parts], sort_keys=True, default=list)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _seed(text: str) -> int | str:
    """A seed's number; "all" and a wildcard stay text."""
    return int(text) if text.isdecimal() else text
