"""Studies with run.json files, and their reports."""

import pytest

from graft.reporting import tables
from graft.reporting.page.contents import contents
from graft.reporting.page.rendering import render
from graft.study.grid import Grid

THESEUS = "merge.theseus.labelled.tiny-into-big"
INTERPOLATE = "merge.interpolate.tiny-into-big"
HEAD_ONLY = "control.head-only.labelled.tiny-into-big"


@pytest.fixture
def reported(grid, paths, write_run):
    """Write runs with the given values by system and seed, then tables and figures; returns the report's contents."""

    def made(values, study=None):
        own = Grid(study) if study else grid
        for system, by_seed in values.items():
            for seed, value in by_seed.items():
                write_run(system, seed, value, train_flops=100 if system == "finetune.big" else 20)
        tables.write_runs(own, paths)
        tables.write_comparison(own, paths)
        tables.write_costs(own, paths)
        tables.write_figures(own, paths)
        return contents(own, paths)

    return made


@pytest.fixture
def page(reported):
    return lambda *given: render(reported(*given))
