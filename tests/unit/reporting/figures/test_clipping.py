import pytest
from matplotlib.figure import Figure

from graft.reporting.figures import clipping


def test_one_wide_interval_does_not_rule_the_axis():
    low, high = clipping.span([0.8, 0.9], [0.1, 0.91])
    assert 0.6 < low < 0.8 and 0.91 < high < 0.95


def test_what_is_near_is_on_the_axis():
    low, high = clipping.span([0.8, 0.9], [0.78, 0.95])
    assert low < 0.78 and high > 0.95


def test_equal_means_have_an_axis():
    low, high = clipping.span([0.5])
    assert low < 0.5 < high


@pytest.mark.parametrize(
    ("draw", "markers"),
    [(clipping.upright, ["v", "^"]), (clipping.level, ["<", ">"])],
)
def test_an_interval_that_leaves_the_axis_ends_in_arrows(draw, markers):
    axis = Figure().gca()
    axis.set_xlim(0, 1)
    axis.set_ylim(0, 1)
    draw(axis, 0.5, 0.2, 0.8, "k")
    assert not axis.lines
    draw(axis, 0.5, -1, 2, "k")
    assert [line.get_marker() for line in axis.lines] == markers
    (segment,) = axis.collections[-1].get_segments()
    assert sorted(segment.ravel()) == [0, 0.5, 0.5, 1]
