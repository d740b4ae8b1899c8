import itertools
import math

from graft.reporting.figures.labels import FAR, Page, around

PANEL = (0.0, 0.0, 200.0, 100.0)


def test_a_number_alone_stands_right_of_its_point_and_near_it():
    dx, dy = Page(PANEL, [(100, 50)]).place(100, 50, "1")
    assert dy == 0 and 0 < dx < FAR


def test_at_the_right_edge_it_goes_to_another_side_and_stays_in_the_panel():
    page = Page(PANEL, [(198, 50)])
    dx, dy = page.place(198, 50, "12")
    left, bottom, right, top = page.taken[-1]
    assert right <= 200 and left >= 0 and top <= 100 and bottom >= 0


def test_numbers_of_a_crowd_cover_neither_one_another_nor_what_is_taken():
    points = [(100 + 3 * math.cos(i), 50 + 3 * math.sin(i)) for i in range(8)]
    page = Page(PANEL, points, taken=[around(x, y, 5.5, 5.5) for x, y in points])
    for number, point in enumerate(points):
        page.place(*point, str(number))
    for one, other in itertools.combinations(page.taken[8:], 2):
        assert min(one[2], other[2]) <= max(one[0], other[0]) or min(one[3], other[3]) <= max(one[1], other[1])


def test_a_number_is_nearer_to_its_own_point_than_to_another():
    points = [(100, 50), (108, 50)]
    page = Page(PANEL, points)
    dx, dy = page.place(*points[0], "1")
    assert math.hypot(100 + dx - 108, 50 + dy - 50) >= math.hypot(dx, dy) - 0.5


def test_the_number_of_a_line_is_just_above_or_below_it():
    page = Page(PANEL, [])
    assert page.place(195, 50, "1", of_line=True)[1] == 6.0
    assert page.place(195, 50, "2", of_line=True)[1] == -6.0


def test_a_name_stands_beside_its_point_covers_nothing_and_stays_in_the_panel():
    page = Page(PANEL, [])
    page.taken += [around(100, 50, 6, 6), (106.0, 0.0, 200.0, 100.0)]
    dx, dy = page.beside(100, 50, 60, 14)
    left, bottom, right, top = page.taken[-1]
    assert (left, bottom, right, top) == around(100 + dx, 50 + dy, 60, 14)
    assert right <= 106 and 0 <= left and (right <= 97 or bottom >= 53 or top <= 47)
