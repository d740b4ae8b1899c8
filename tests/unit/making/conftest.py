"""Systems of a pico study, made step by step in this process."""

import fnmatch
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graft.config.study import parse
from graft.encoders.inference import run as answers_of
from graft.io import files
from graft.merging.loading import load
from graft.study import runs
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps import graph
from graft.study.steps.evaluate import evaluation
from graft.tasks import metrics
from tests.conftest import study_values
from tests.unit.programs import run

PAIR = "small-into-large"


@dataclass(frozen=True)
class Made:
    """A study of which some systems are made."""

    grid: Grid
    paths: Paths
    task: str

    def folder(self, system: str, seed: int | str = 0) -> Path:
        """Model folder of a system."""
        return self.paths.run(self.task, system, seed) / "model"

    def built(self, system: str, seed: int | str = 0) -> dict[str, Any]:
        """The build.json of a system."""
        return files.read_json(self.paths.run(self.task, system, seed) / "build.json")

    def logits(self, system: str, seed: int | str = 0) -> np.ndarray:
        """What a saved system answers on `select`."""
        model = self.grid.reads_as(self.grid.systems[system])
        tokens = runs.tokens(self.grid, self.paths, self.task, model, "select")
        return answers_of(load(self.folder(system, seed)).logits, tokens, self.grid.max_tokens(self.task, model))

    def score(self, logits: np.ndarray | torch.Tensor) -> float:
        """The primary metric of logits on `select`."""
        labels = runs.labels(self.paths, self.task, "select")
        return metrics.primary(np.asarray(logits), labels, self.grid.row(self.task))


@pytest.fixture(scope="module")
def make(pico_glue, pico_models, tmp_path_factory):
    """Makes the systems of a study that match a pattern, with all that they need; one epoch of fine-tuning each."""

    def made(systems: dict, patterns: tuple[str, ...], task: str = "rte", **settings: Any) -> Made:
        # One process has one precision for good (accelerate), and the tests of training have this one.
        values = study_values(pico_glue, pico_models, seeds=[0], systems=systems, launch={"precision": "fp32"})
        for model in values["models"].values():
            model["finetune"][task] |= {"epochs": 1, **settings}
        grid, paths = Grid(parse(values)), Paths(tmp_path_factory.mktemp("made") / "pico")
        files.write_json(paths.study, grid.study.model_dump(mode="json", by_alias=True))
        wanted = [
            evaluation(one)
            for one in grid.runs
            if one.task == task and any(fnmatch.fnmatch(one.system.name, pattern) for pattern in patterns)
        ]
        assert wanted, patterns
        for step in graph.with_inputs(grid, wanted):
            if step.rule != "evaluate":
                run(grid, paths, step)
        return Made(grid, paths, task)

    return made
