import pytest

from graft.reporting.figures import differences
from tests.unit.reporting.figures.conftest import SYSTEMS


def test_every_difference_is_a_row_with_its_interval_and_the_band_is_the_margin(source):
    data = differences.data(source)
    assert set(data["system"]) == set(SYSTEMS) - {"finetune.big"}
    (axis,) = differences.draw(data).axes
    margin = source.grid.study.margin("rte")
    (band,) = [patch for patch in axis.patches if patch.get_width() == pytest.approx(2 * margin)]
    assert band.get_x() == -margin
    # 40 rows or 7: all names are there, and none is cut by the page.
    names = [text.get_text().replace("\n", "") for text in axis.get_yticklabels()]
    assert set(names) == {name.removesuffix(".tiny-into-big") for name in data["system"]}
    figure = axis.figure
    figure.draw_without_rendering()
    assert all(text.get_window_extent().x0 >= 0 for text in axis.get_yticklabels())
