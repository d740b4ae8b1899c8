from graft.reporting.figures import seeds
from tests.unit.reporting.figures.conftest import SYSTEMS, hollow


def test_every_run_is_a_dot(source):
    data = seeds.data(source)
    assert len(data) == sum(1 if mean == 0.5 else 2 for mean, _ in SYSTEMS.values())
    (axis,) = seeds.draw(data).axes
    assert sorted(x for x, _ in hollow(axis)) == sorted(data["value"])
    assert not axis.collections  # no interval
