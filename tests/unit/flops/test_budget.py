import numpy as np
import pytest

from graft.flops.budget import rows_within

LENGTHS = np.array([3, 5, 2, 4])


def step(tokens):
    return 10 * tokens


@pytest.mark.parametrize(("budget", "rows"), [(0, 2), (99, 2), (100, 3), (139, 3), (140, 4), (10**9, 4)])
def test_as_many_rows_as_the_budget_allows_and_two_at_least(budget, rows):
    assert rows_within(budget, LENGTHS, step) == rows
