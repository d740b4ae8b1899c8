"""Comparisons to draw, as `Source`s without files."""

import pytest

from graft.reporting.figures.source import Source
from graft.study.grid import Grid

SYSTEMS = {
    "finetune.big": (0.88, 4.5e13),
    "finetune.tiny": (0.83, 1.1e13),
    "majority": (0.5, 0),
    "merge.interpolate.tiny-into-big": (0.51, 3.1e13),
    "merge.theseus.transplant.tiny-into-big": (0.849, 1.9e13),
    "merge.theseus.label-free.tiny-into-big": (0.848, 1.9e13),
    "merge.theseus.labelled.tiny-into-big": (0.85, 1.9e13),
    "control.head-only.labelled.tiny-into-big": (0.847, 1.85e13),
}


@pytest.fixture
def source(study, runs_of, compare, paths):
    """A study with every kind of system, two seeds each."""
    values = {name: {"all": mean} if mean == 0.5 else {0: mean, 1: mean + 0.01} for name, (mean, _) in SYSTEMS.items()}
    runs = runs_of(values, flops={name: flops for name, (_, flops) in SYSTEMS.items()})
    return Source(Grid(study()), paths, compare(runs, study()), runs)
