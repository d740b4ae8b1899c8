import itertools

import pandas as pd
import pytest
from matplotlib.text import Text

from graft.reporting.figures import cost
from tests.unit.reporting.figures.conftest import SYSTEMS, hollow


@pytest.fixture
def data(source):
    return cost.training(source)


def _numbers(axis):
    return [text for text in axis.texts if text.get_text().isdigit()]


def test_few_systems_all_have_their_number_in_the_panel_and_their_name_in_the_key(data):
    figure = cost.draw_training(data)
    (axis,) = figure.axes
    assert sorted(int(text.get_text()) for text in _numbers(axis)) == list(range(1, len(SYSTEMS) + 1))
    assert {name.removesuffix(".tiny-into-big") for name in SYSTEMS} <= {text.get_text() for text in figure.texts}
    assert (axis.get_xscale(), axis.get_xlabel(), axis.get_ylabel()) == ("log", "training FLOPs", "accuracy")


def test_of_many_systems_only_those_that_a_reader_looks_for_have_a_number(source):
    more = [
        row | {"system": f"merge.theseus-{i}.labelled.tiny-into-big", "mean": 0.6 + i / 1000, "chosen": False}
        for i in range(32)
        for row in source.comparison[source.comparison["kind"] == "weights"].head(1).to_dict("records")
    ]
    many = pd.concat([source.comparison, pd.DataFrame(more, dtype=object)], ignore_index=True)
    data = cost.data(type(source)(source.grid, source.paths, many, source.runs), "train_flops")
    assert len(data) == 40
    noted = set(data[data["noted"].astype(bool)]["system"])
    chosen = set(many[many["chosen"].astype(bool)]["system"])
    assert {"finetune.big", "finetune.tiny", "control.head-only.labelled.tiny-into-big"} | chosen <= noted
    assert len(noted) < 10
    (axis,) = cost.draw_training(data).axes
    assert len(_numbers(axis)) == len(noted)


def test_numbers_do_not_cover_each_other_and_stay_in_the_panel(data):
    figure = cost.draw_training(data)
    figure.draw_without_rendering()
    (axis,) = figure.axes
    # Of the digits alone: an annotation's own extent holds its leader line too.
    boxes = [Text.get_window_extent(text) for text in _numbers(axis)]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    frame = axis.get_window_extent().padded(2)
    assert all(frame.contains(box.x0, box.y0) and frame.contains(box.x1, box.y1) for box in boxes)


def test_the_front_is_a_step_line_through_the_points_that_nothing_dominates(data):
    (axis,) = cost.draw_training(data).axes
    corners = next(line.get_xydata().tolist() for line in axis.lines if line.get_color() == cost._FRONT["color"])
    ends = {(x, round(y, 3)) for x, y in corners}
    assert {(1.1e13, 0.835), (1.9e13, 0.855), (4.5e13, 0.885), (1.1e13, 0.5)} <= ends
    assert corners == sorted(corners)


def test_each_cost_has_a_front_of_its_own(source):
    # All cost the same to use, so that only the best is on that front.
    training, inference = cost.training(source), cost.inference(source)
    assert list(inference[inference["pareto"].astype(bool)]["system"]) == ["finetune.big"]
    assert list(training["pareto"]) == list(source.comparison["pareto"])


def test_a_system_that_costs_nothing_is_a_line(data):
    (axis,) = cost.draw_training(data).axes
    dotted = [line for line in axis.lines if line.get_linestyle() == ":"]
    assert [list(line.get_ydata()) for line in dotted] == [[0.5, 0.5]]


def test_the_axis_is_written_as_the_tables_are(data):
    figure = cost.draw_training(data)
    figure.draw_without_rendering()
    ticks = [text.get_text() for text in figure.axes[0].get_xticklabels(which="both") if text.get_text()]
    assert ticks and all(tick[0].isdigit() and "e" in tick for tick in ticks)


def test_few_seeds_are_dots_and_enough_of_them_an_interval(source_of):
    (few,), (many,) = (cost.draw_training(cost.training(source_of(seeds))).axes for seeds in (4, 5))
    low, high = few.get_ylim()
    # The majority costs nothing and is a line.
    assert len(hollow(few)) == 4 * (len(SYSTEMS) - 1) and all(low < y < high for _, y in hollow(few))
    assert not few.collections and not hollow(many) and len(many.collections) == len(SYSTEMS) - 1


def test_the_reference_is_reported(data):
    assert list(data[data["reference"].astype(bool)]["system"]) == ["finetune.big"]
