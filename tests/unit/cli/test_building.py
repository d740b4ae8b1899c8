import os
import shutil

import pytest

from graft.cli import building
from graft.config.study import parse
from graft.io import files
from graft.reporting.explaining import find_run
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps.making import making
from tests.conftest import study_values
from tests.unit.programs import finish


@pytest.fixture(scope="module")
def study(pico_glue, pico_models, tmp_path_factory):
    """Grid and paths of a study all of whose models are there."""
    values = study_values(pico_glue, pico_models, seeds=[0], include=["rte/*"])
    values["systems"] = {"merge": {"theseus": {"heads": ["labelled"], "strengths": [0, 1]}, "logit_ensemble": {}}}
    values["systems"]["probe"] = {"pooling": ["mean"]}
    grid, paths = Grid(parse(values)), Paths(tmp_path_factory.mktemp("building") / "results" / "pico")
    finish(grid, paths)
    return grid, paths


@pytest.fixture(autouse=True)
def let_go(monkeypatch):
    """A command's locks end with its process, which these tests share."""
    held: list[int] = []
    monkeypatch.setattr(building.locks, "_held", held)
    yield
    for descriptor in held:
        os.close(descriptor)


@pytest.mark.parametrize("system", ["merge.theseus.labelled", "finetune.small"])
def test_a_model_is_made_again_byte_for_byte(study, system):
    grid, paths = study
    run = find_run(grid, "rte", system, "0")
    step = making(grid, *run.made)
    recorded = files.read_json(step.output(paths))["model_sha256"]
    shutil.rmtree(step.model(paths))
    folder = building.build(grid, paths, run)
    assert folder == step.model(paths)
    assert {name: files.sha256(folder / name) for name in recorded} == recorded


def test_a_model_that_cannot_be_made_ends_in_a_sentence(study):
    grid, paths = study
    run = find_run(grid, "rte", "finetune.large", "0")
    shutil.rmtree(making(grid, *run.made).model(paths))
    hidden = paths.data("rte").with_name("hidden")
    paths.data("rte").rename(hidden)
    try:
        with pytest.raises(ValueError, match="rte/finetune.large/seed-0: its model could not be made; see above"):
            building.build(grid, paths, run)
    finally:
        hidden.rename(paths.data("rte"))
