import itertools

import pytest
from matplotlib.text import Text

from graft.reporting import figures

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
def table(study, runs_of, compare):
    values = {name: {"all": mean} if mean == 0.5 else {0: mean, 1: mean + 0.01} for name, (mean, _) in SYSTEMS.items()}
    return compare(runs_of(values, flops={name: flops for name, (_, flops) in SYSTEMS.items()}), study())


def _numbers(axis):
    return [text for text in axis.texts if text.get_text().isdigit()]


def test_every_finished_system_has_its_number_in_the_panel_and_its_name_in_the_key(table):
    figure = figures.metric_against_cost(table)
    (axis,) = figure.axes
    assert sorted(int(text.get_text()) for text in _numbers(axis)) == list(range(1, len(SYSTEMS) + 1))
    assert set(SYSTEMS) <= {text.get_text() for text in figure.texts}
    assert (axis.get_xscale(), axis.get_xlabel(), axis.get_ylabel()) == ("log", "training FLOPs", "accuracy")


def test_numbers_do_not_cover_each_other_and_stay_in_the_panel(table):
    figure = figures.metric_against_cost(table)
    figure.draw_without_rendering()
    (axis,) = figure.axes
    # Of the digits alone: an annotation's own extent holds its leader line too.
    boxes = [Text.get_window_extent(text) for text in _numbers(axis)]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    frame = axis.get_window_extent().padded(2)
    assert all(frame.contains(box.x0, box.y0) and frame.contains(box.x1, box.y1) for box in boxes)


def test_no_kinds_share_a_marker_or_a_colour():
    markers, colours, labels = zip(*figures.KINDS.values(), strict=True)
    assert len(set(markers)) == len(set(colours)) == len(set(labels)) == len(figures.KINDS)


def test_the_front_is_a_step_line_through_the_points_that_nothing_dominates(table):
    (axis,) = figures.metric_against_cost(table).axes
    corners = next(line.get_xydata().tolist() for line in axis.lines if line.get_color() == figures._FRONT["color"])
    ends = {(x, round(y, 3)) for x, y in corners}
    assert {(1.1e13, 0.835), (1.9e13, 0.855), (4.5e13, 0.885), (1.1e13, 0.5)} <= ends
    assert corners == sorted(corners)


def test_a_system_that_costs_nothing_is_a_line(table):
    (axis,) = figures.metric_against_cost(table).axes
    dotted = [line for line in axis.lines if line.get_linestyle() == ":"]
    assert [list(line.get_ydata()) for line in dotted] == [[0.5, 0.5]]


def test_nothing_finished_is_told(study, runs_of, compare):
    empty = compare(runs_of({"finetune.big": {0: "missing"}}), study())
    with pytest.raises(ValueError, match="no finished system"):
        figures.metric_against_cost(empty)


def test_points_tell_what_is_drawn(table):
    points = figures.points(table)
    assert list(points["number"]) == list(range(1, len(SYSTEMS) + 1))
    assert list(points[points["reference"].astype(bool)]["system"]) == ["finetune.big"]
