import itertools

import pandas as pd
import pytest

from graft.reporting.figures import frontier, frontier_rows

BIG, TINY, MERGE = "finetune.big", "finetune.tiny", "merge.theseus.labelled.tiny-into-big"


def _rows(*rows, says="None of 2 merges beats its matched rival", **changes):
    head = dict.fromkeys(frontier_rows.COLUMNS) | {"task": "rte", "scenario": "small-given", "same_in": ""}
    head |= {"says": says, "metric": "accuracy", "seeds": 12, "dots": "", "role": "", "limit": "", "classical": False}
    return pd.DataFrame([head | row | changes for row in rows], dtype=object)


def _row(system, kind, cost, mean, **changes):
    row = {"system": system, "kind": kind, "cost": cost, "mean": mean, "low": mean - 0.02, "high": mean + 0.02}
    return row | changes


CLASSICAL = (
    _row("majority", "baseline", 0, 0.5, classical=True, best=0.5, best_low=0.48, best_high=0.52),
    _row(TINY, "finetune", 0, 0.8, classical=True, best=0.8, best_low=0.78, best_high=0.82, role="its rival"),
    _row(BIG, "finetune", 1e13, 0.9, classical=True, best=0.9, best_low=0.88, best_high=0.92, role="best classical"),
)


@pytest.fixture
def drawn():
    def draw(*rows, **changes):
        figure = frontier.draw_training(_rows(*CLASSICAL, *rows, **changes))
        figure.draw_without_rendering()
        return figure, figure.axes[0]

    return draw


def _steps(axis):
    return next(line for line in axis.lines if line.get_drawstyle() == "steps-post")


def _marks(axis, *markers):
    return [line for line in axis.lines if line.get_marker() in markers and line.get_markersize() > 3.5]


def test_the_frontier_is_a_step_line_with_a_band_that_begins_at_no_cost(drawn):
    _, axis = drawn(_row(MERGE, "weights", 1e12, 0.85, role="best merge"))
    x, y = _steps(axis).get_data()
    assert list(y) == [0.5, 0.8, 0.9, 0.9] and x[0] == x[1] < 1e12 and (x[2], x[3]) == (1e13, axis.get_xlim()[1])
    (band,) = [one for one in axis.collections if one.get_facecolor().size and one.get_alpha() == 0.13]
    assert band.get_paths()[0].vertices[:, 1].max() == pytest.approx(0.92)


def test_few_seeds_have_dots_and_no_band(drawn):
    few = {"low": None, "high": None, "best_low": None, "best_high": None, "dots": "0.79 0.81", "seeds": 2}
    figure, axis = drawn(_row(MERGE, "weights", 1e12, 0.85), **few)
    assert not axis.collections and any(line.get_markerfacecolor() == "none" for line in axis.lines)
    assert "its interval" not in [text.get_text() for text in figure.legends[0].get_texts()]


def test_the_named_have_labels_that_do_not_cover_each_other(drawn):
    others = [_row(f"merge.m{n}", "weights", 1e12, 0.82 + n / 500) for n in range(20)]
    _, axis = drawn(*others, _row(MERGE, "weights", 1e12, 0.85, role="best merge"))
    labels = [text for text in axis.texts if "\n" in text.get_text()]
    assert {text.get_text().split("\n")[-1] for text in labels} == {"its rival", "best classical", "best merge"}
    boxes = [super(type(text), text).get_window_extent() for text in labels]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_marks_of_one_cost_and_metric_do_not_hide_each_other(drawn):
    _, axis = drawn(*(_row(f"merge.m{n}", "weights", 1e12, 0.85) for n in range(8)))
    places = sorted(axis.transData.transform((line.get_xdata()[0], 0.85))[0] for line in _marks(axis, "^"))
    gaps = [(two - one) * 72 / axis.figure.dpi for one, two in itertools.pairwise(places)]
    assert len(gaps) == 7 and min(gaps) >= 3


def test_what_lies_far_below_is_an_arrow_and_does_not_rule_the_axis(drawn):
    _, axis = drawn(_row(MERGE, "weights", 1e12, 0.85), _row("control.c", "control", 1e12, 0.1))
    assert axis.get_ylim()[0] > 0.6
    arrows = [line for line in axis.lines if line.get_marker() == "v" and line.get_markerfacecolor() == "none"]
    assert [line.get_ydata()[0] for line in arrows] == [axis.get_ylim()[0]] * 2  # the control, and the majority


def test_a_wide_interval_is_clipped_with_arrows(drawn):
    _, axis = drawn(_row(MERGE, "weights", 1e12, 0.85, low=0.1, high=1.0, role="best merge"))
    low, high = axis.get_ylim()
    assert low > 0.6 and high < 1.0
    ends = {(line.get_marker(), line.get_ydata()[0]) for line in axis.lines if line.get_markersize() == 2.8}
    assert ends == {("v", low), ("^", high)}


def test_the_title_says_what_is_seen_and_where(drawn):
    figure, _ = drawn(_row(MERGE, "weights", 1e12, 0.85), same_in="label-free few-labels-32")
    texts = [text.get_text() for text in figure.texts]
    assert texts == [
        "None of 2 merges beats its matched rival", "rte, small-given (as 2 others); accuracy, mean of 12 seeds"
    ]  # fmt: skip


def test_the_cost_of_running_the_fine_tuned_models_is_marked():
    rows = _rows(*CLASSICAL[1:], _row(MERGE, "weights", 1e13, 0.85))
    rows["limit"] = ["small", "large", ""]
    (axis,) = frontier.draw_inference(rows.assign(cost=[1e9, 3e9, 3e9])).axes
    assert {"small model", "large model"} <= {text.get_text() for text in axis.texts}
