import pytest

from graft.config.study import parse
from graft.planning.disk import SCRATCH, disk
from graft.planning.sizes import sizes_of
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps import graph
from graft.study.steps.keep_models import KeepModels
from graft.study.steps.making import making
from graft.study.steps.step import SAVED, STATES
from tests.conftest import study_values


@pytest.fixture
def values(pico_glue, pico_models):
    return study_values(pico_glue, pico_models)


def planned(values, tmp_path):
    grid = Grid(parse(values))
    sizes = sizes_of(grid, Paths(tmp_path))
    return disk(sizes, graph.of_study(grid), lambda step: 60.0), sizes


def test_all_models_stay_where_all_are_kept_and_no_states(values, tmp_path):
    values["keep"] = ["*"]
    found, sizes = planned(values, tmp_path)
    made = [making(sizes.grid, *run.made) for run in sizes.grid.runs]
    assert found.left[SAVED] == sum(step.bytes(sizes) for step in dict.fromkeys(made))
    assert found.left[STATES] == 0 and found.left[SCRATCH] == 0 and found.whole


def test_nothing_stays_but_pairs_and_the_largest_merge(values, tmp_path):
    found, sizes = planned(values, tmp_path)
    grid = sizes.grid
    pairs = [making(grid, *run.made) for run in grid.runs if run.system.name in ("finetune.large", "finetune.small")]
    best = {}
    for made in KeepModels().candidates(grid):
        best[made.task] = max(best.get(made.task, 0), made.bytes(sizes))
    assert found.left[SAVED] == sum(step.bytes(sizes) for step in pairs) + sum(best.values())
    assert sum(found.peak.values()) > sum(found.left.values())
    values["keep"] = []
    assert planned(values, tmp_path)[0].left[SAVED] == 0


@pytest.mark.parametrize("none", [None, 2])  # never, or only after this step's minute
def test_a_fine_tuning_has_checkpoints_unless_there_are_none(values, tmp_path, none):
    peaks = []
    for minutes in (1, none):
        values["launch"] = {"checkpoint_minutes": minutes}
        values["include"] = ["rte/finetune.large/*"]
        found, sizes = planned(values, tmp_path)
        peaks.append(sum(found.peak.values()))
        one = making(sizes.grid, "rte", "finetune.large", 0).bytes(sizes)
    assert 10 * one < peaks[0] - peaks[1] <= 12 * one


def test_what_is_not_known_is_told(values, tmp_path):
    values["tasks"]["rte"]["source"] = {"kind": "hub", "repo": "someone/else", "revision": "0" * 40}
    assert not planned(values, tmp_path)[0].whole
