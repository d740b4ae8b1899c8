import pytest

from graft.statistics.crossed import Difference
from graft.statistics.verdicts import holm, verdict


def difference(mean, inner, n_seeds=12, p_value=0.01):
    return Difference(mean, 0.01, n_seeds, inner, inner, inner, p_value, 1e-4, 0.1)


def test_holm_by_hand():
    # Sorted .01 .02 .03 .5 times 4, 3, 2, 1, and never falling.
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([]) == []


@pytest.mark.parametrize(
    ("mean", "inner", "p_holm", "margin", "told"),
    [
        (0.02, (0.01, 0.03), 0.01, 0.01, "better"),
        (-0.02, (-0.03, -0.01), 0.01, 0.01, "worse"),
        (0.004, (0.001, 0.007), 0.01, 0.01, "better"),  # before equivalent, which it is too
        (0.004, (-0.002, 0.009), 0.2, 0.01, "equivalent"),
        (0.004, (-0.002, 0.011), 0.2, 0.01, "inconclusive"),
        (0.004, (-0.011, 0.009), 0.2, 0.01, "inconclusive"),
        (0.0, (0.0, 0.0), 1.0, None, "inconclusive"),
    ],
)
def test_verdicts(mean, inner, p_holm, margin, told):
    assert verdict(difference(mean, inner), p_holm, margin, 0.95) == told
