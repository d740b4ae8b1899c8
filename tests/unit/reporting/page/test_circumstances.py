import pytest

from graft.reporting.page.circumstances import absent, circumstances
from graft.study import records


@pytest.fixture
def made(write_run):
    """Records of two runs, the second with the given fields of its cost and provenance."""

    def make(cost, **provenance):
        found = [records.read(write_run("finetune.big", seed, 0.7)) for seed in (0, 1)]
        costs = ({"wall_seconds": 1800.0}, {"wall_seconds": 5400.0, **cost})
        return [
            one.model_copy(
                update={
                    "cost": one.cost.model_copy(update=of_cost),
                    "provenance": one.provenance.model_copy(update=changes),
                }
            )
            for one, of_cost, changes in zip(found, costs, ({}, provenance), strict=True)
        ]

    return make


def test_hours_and_energy_are_summed_and_what_is_the_same_is_told_once(made):
    told = dict(circumstances(made({"energy_joules": 7.2e6})))
    assert told["finished runs"] == "2" and told["total time of their last jobs"] == "2.00 h"
    assert told["total energy of these jobs"] == "2 kWh"
    assert (told["device"], told["threads"], told["code"], told["hardware"]) == ("cpu", "1", "0+a", "not recorded")


def test_what_differs_is_told_with_its_counts(made):
    told = dict(circumstances(made({}, device="cuda", hardware={"gpu": "H200", "cores": 8, "cpu": None})))
    assert told["device"] == "cpu (1 runs); cuda (1 runs)" and told["total energy of these jobs"] == "not measured"
    assert told["hardware"] == "cores 8, gpu H200 (1 runs); not recorded (1 runs)"


def test_of_nothing_nothing_is_told():
    assert circumstances([]) == [("runs", "none has finished")]


def test_every_run_that_is_not_in_the_tables_is_told_with_its_state(grid, paths, write_run):
    write_run("finetune.big", 0, 0.7)
    found = absent(grid, paths)
    assert len(found) == len(grid.runs) - 1 and {state for _, state, _ in found} == {"missing"}
    assert "rte/finetune.big/seed-0" not in {name for name, *_ in found}
