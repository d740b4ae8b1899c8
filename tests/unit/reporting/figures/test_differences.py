import pytest

from graft.reporting.figures import differences
from tests.unit.reporting.figures.conftest import SYSTEMS, hollow


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


def test_few_seeds_are_dots_and_enough_of_them_an_interval(source_of):
    def drawn(seeds):
        data = differences.data(source_of(seeds))
        (axis,) = differences.draw(data).axes
        bars = [path for lines in axis.collections for path in lines.get_paths()]
        return data, axis, bars

    data, axis, bars = drawn(4)
    assert len(hollow(axis)) == 4 * len(data) and not bars
    (majority,) = data[data["system"] == "majority"]["dots"]
    # One run for all seeds differs from each of the reference's.
    assert [float(dot) for dot in majority.split()] == pytest.approx([-0.38, -0.39, -0.38, -0.39])
    data, axis, bars = drawn(5)
    assert not hollow(axis) and len(bars) == len(data) and set(data["dots"]) == {""}


def test_verdicts_stand_beside_their_intervals_and_the_margin_in_words(source_of):
    source = source_of(12)
    data = differences.data(source)
    (axis,) = differences.draw(data).axes
    beside = [text.get_text() for text in axis.texts if text.get_text().strip("★ ")]
    assert beside and len(beside) == data["p_holm"].notna().sum() == data["system"].str.startswith("merge.").sum()
    assert "±0.03" in axis.get_xlabel()
    axis.figure.draw_without_rendering()
    page = axis.figure.bbox
    assert all(text.get_window_extent().x1 <= page.x1 for text in (*axis.texts, axis.xaxis.label))
