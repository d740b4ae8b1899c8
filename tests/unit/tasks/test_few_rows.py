import numpy as np
import pytest

from graft.tasks.few_rows import few_rows

LABELS = np.repeat([0, 1, 2], [600, 300, 100])


@pytest.mark.parametrize("number", [10, 40, 200, 1000])
def test_both_halves_have_the_classes_shares_and_no_row_twice(number):
    for seed in range(5):
        fit, choose = few_rows(LABELS, seed, number, classes=True)
        assert len(fit) == len(choose) == number // 2
        assert len({*fit, *choose}) == number and [*fit] == sorted(fit) and [*choose] == sorted(choose)
        for rows in (fit, choose):
            shares = np.bincount(LABELS[rows], minlength=3) / len(rows)
            assert np.abs(shares - [0.6, 0.3, 0.1]).max() <= 1.5 / len(rows)


def test_draws_differ_by_seed_and_grow_with_the_number():
    few, more = ({*np.concatenate(few_rows(LABELS, 0, number, classes=True))} for number in (20, 50))
    assert few < more
    assert few != {*np.concatenate(few_rows(LABELS, 1, 20, classes=True))}
    again = few_rows(LABELS, 0, 20, classes=True)
    assert all((one == two).all() for one, two in zip(again, few_rows(LABELS, 0, 20, classes=True), strict=True))


def test_all_rows_are_halved_whatever_their_labels_if_no_number_is_given():
    fit, choose = few_rows(np.arange(7.0), 3)
    assert sorted([*fit, *choose]) == [*range(7)] and len(fit) == 4
    other = few_rows(np.zeros(7), 3)
    assert all((one == two).all() for one, two in zip((fit, choose), other, strict=True))
    assert [len(half) for half in few_rows(np.arange(7.0), 3, number=100)] == [4, 3]
