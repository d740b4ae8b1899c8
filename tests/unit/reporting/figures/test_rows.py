import pytest

from graft.reporting.figures import differences, rows, seeds
from tests.unit.reporting.figures.conftest import SYSTEMS


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("merge.theseus.labelled", "merge.theseus.labelled"),
        ("control.other-small.functional.labelled.x-into-y", "control.other-small.\nfunctional.labelled.x-into-y"),
        ("a" * 50, "a" * 50),
    ],
)
def test_a_long_name_is_broken_at_the_dot_nearest_to_its_middle(name, told):
    assert rows.folded(name) == told


def test_kinds_stand_together_and_the_best_of_each_first(source):
    data = seeds.data(source)
    means = {row["system"]: row for row in data.to_dict("records")}
    ordered = [row["system"] for row in rows.ordered(list(means.values()), "mean")]
    assert ordered[:3] == ["finetune.big", "finetune.tiny", "merge.theseus.labelled.tiny-into-big"]
    assert ordered[-1] == "majority"


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
