"""A study's bookkeeping without its computing: a `make` that writes what a step would record."""

import hashlib

import pytest

from graft.config.study import parse
from graft.io import files
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps import graph
from graft.study.steps.job import Job
from graft.study.steps.step import Making
from tests.conftest import study_values


class Scribe:
    """Writes each step's record and model, and lists what it was asked for; `faults`: step names and their errors."""

    def __init__(self):
        self.made, self.faults, self.salt = [], {}, ""

    def __call__(self, step, grid, paths):
        self.made.append(str(step))
        print(f"doing {step}")
        if error := self.faults.get(str(step)):
            raise error
        known = step.fingerprint(grid)
        model = hashlib.sha256(f"{self.salt}{step}".encode()).hexdigest()
        record = {"fingerprint": known, "model_sha256": {"m": model}, "metrics": {}}
        record |= {"provenance": {"fingerprint": known, "hardware": {"cpu": "a"}}, "select": {"value": 0.5}}
        if isinstance(step, Making):
            step.model(paths).mkdir(exist_ok=True)
            (step.model(paths) / "m").write_text(model)
        elif step.files:
            (step.output(paths).parent / "states").write_text("x")
        files.write_json(step.output(paths), record)


@pytest.fixture
def scribe():
    return Scribe()


@pytest.fixture
def grid_of(pico_glue, pico_models):
    """Makes the grid of one task, one seed, and a merge with two heads; `changes` to the config."""

    def make(strengths=(0, 1), **changes):
        values = study_values(pico_glue, pico_models, seeds=[0], include=["rte/*"])
        heads = ["labelled", "transplant"]
        values["systems"]["merge"] = {"logit_ensemble": {}, "theseus": {"heads": heads, "strengths": strengths}}
        values["systems"]["control"] = {"head-only": {"heads": ["labelled"], "fit_rows": 64}}
        values["systems"]["lora"] = {}
        return Grid(parse(values | changes))

    return make


@pytest.fixture
def paths(tmp_path):
    return Paths(tmp_path / "results" / "pico")


@pytest.fixture
def before(scribe, paths):
    """Does all steps that a grid's jobs of several steps wait for, the fine-tunings and the probes."""

    def do(grid):
        for step in graph.of_study(grid):
            job = step.job(grid)
            if job is None and not step.rule.startswith(("gather", "compare", "tab", "plot", "report", "keep", "meas")):
                step.output(paths).parent.mkdir(parents=True, exist_ok=True)
                scribe(step, grid, paths)
            elif job and job.rule in ("finetune_model", "make_probes"):
                step.output(paths).parent.mkdir(parents=True, exist_ok=True)
                scribe(step, grid, paths)
        scribe.made.clear()

    return do


@pytest.fixture
def job():
    return Job.of("make_systems", {"task": "rte", "seed": 0})
