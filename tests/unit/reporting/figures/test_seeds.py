from graft.reporting.figures import seeds
from tests.unit.reporting.figures.conftest import SYSTEMS


def test_every_run_is_a_dot(source):
    data = seeds.data(source)
    assert len(data) == sum(1 if mean == 0.5 else 2 for mean, _ in SYSTEMS.values())
    (axis,) = seeds.draw(data).axes
    hollow = [line for line in axis.lines if line.get_markerfacecolor() == "none"]
    assert sorted(float(line.get_xdata()[0]) for line in hollow) == sorted(data["value"])
