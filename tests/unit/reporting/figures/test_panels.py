import pytest
from matplotlib.lines import Line2D

from graft.reporting.figures.panels import grid_of
from graft.reporting.figures.style import WIDTH

HANDLES = [Line2D([], [], label=name) for name in "abcd"]


@pytest.mark.parametrize(("count", "rows", "shape"), [(1, False, (1, 1)), (3, False, (2, 2)), (3, True, (3, 1))])
def test_panels_stand_two_in_a_row_and_none_is_left_empty(count, rows, shape):
    figure, axes = grid_of(count, "rte", HANDLES, rows=rows)
    assert len(axes) == count and sum(axis.get_visible() for axis in figure.axes) == count
    assert axes[0].get_gridspec().get_geometry() == shape
    assert figure.get_figwidth() == WIDTH and [text.get_text() for text in figure.texts] == ["rte"]


@pytest.mark.parametrize("handles", [[], HANDLES[:3], HANDLES])
def test_every_panel_has_its_height_below_the_legend(handles):
    figure, (axis, _) = grid_of(2, "rte", handles, panel_height=0.8)
    figure.draw_without_rendering()
    assert axis.get_position().height * figure.get_figheight() == pytest.approx(0.8)
    for legend in figure.legends:
        assert legend.get_window_extent().y0 >= axis.get_window_extent().y1
