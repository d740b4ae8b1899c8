import math

from matplotlib.figure import Figure

from graft.reporting.figures.cost_axis import lay_out


def _ticks(axis):
    axis.figure.draw_without_rendering()
    return {text.get_text(): text.get_position()[0] for text in axis.get_xticklabels(which="both") if text.get_text()}


def test_what_costs_nothing_has_a_marked_place_left_of_all_else():
    axis = Figure().gca()
    free = lay_out(axis, [0, 2e12, 3e13], "FLOPs", with_zero=True)
    (place,) = axis.patches
    left, edge = place.get_extents().transformed(axis.transData.inverted()).intervalx
    assert left < free < edge < 2e12 and math.isclose(left, axis.get_xlim()[0])
    assert math.isclose(_ticks(axis)["0"], free) and math.isclose(_ticks(axis)["1e13"], 1e13)


def test_where_everything_costs_something_there_is_no_such_place():
    axis = Figure().gca()
    lay_out(axis, [2e12, 3e13], "FLOPs")
    assert not axis.patches and "0" not in _ticks(axis) and axis.get_xlim()[0] < 2e12


def test_a_narrow_axis_has_ticks_between_and_a_wide_one_has_no_more_than_powers_of_ten():
    narrow, wide = Figure().gca(), Figure().gca()
    lay_out(narrow, [2e12, 6e12], "FLOPs")
    lay_out(wide, [2e9, 6e13], "FLOPs")
    assert "5e12" in _ticks(narrow) and all(tick.startswith("1e") for tick in _ticks(wide))


def test_free_systems_alone_have_an_axis():
    assert lay_out(Figure().gca(), [0], "FLOPs", with_zero=True) > 0
