import numpy as np
import pytest

from graft.statistics.aggregates import aggregate
from graft.statistics.crossed import Crossed

N = 1000
LABELS = np.arange(N) % 2


def told(*accuracies):
    return {str(s): np.where(np.arange(N) < round(a * N), LABELS, 1 - LABELS) for s, a in enumerate(accuracies)}


def task(name, **systems):
    return Crossed(name, "accuracy", LABELS, systems, draws=500)


def test_scores_are_shares_of_what_the_reference_is_above_one_label_for_all():
    tasks = [
        task("a", large=told(0.9, 0.9), merge=told(0.7, 0.8), small=told(0.6, 0.6)),
        task("b", large=told(0.8, 0.8), merge=told(0.8, 0.9), small=told(0.5, 0.5)),
    ]
    assert all(one.iqm_interval == one.rank_interval == (None, None) for one in aggregate(tasks, {"large": "large"}))
    large, merge, small = aggregate(tasks, dict.fromkeys(("large", "merge", "small"), "large"))
    assert (large.system, large.iqm, large.tasks) == ("large", pytest.approx(1), ("a", "b"))
    # (0.7 - 0.5) / 0.4 = 0.5, 0.75, 1 and 1.3333: the middle two.
    assert merge.iqm == pytest.approx((0.75 + 1) / 2)
    assert small.iqm == pytest.approx((0 + 0.25) / 2)
    assert [one.rank for one in (large, merge, small)] == [1.5, 1.5, 3]  # 1 and 2, 2 and 1


def test_only_seeds_that_all_tasks_have_count_and_enough_of_them_have_intervals():
    def tasks(*counts):
        return [
            task(
                name,
                large=told(*[0.9] * n),
                merge=told(*[0.7, 0.8, 0.7, 0.8, 0.7, 0.8][:n]),
                constant={"all": LABELS * 0},
            )
            for name, n in zip("ab", counts, strict=True)
        ]

    references = dict.fromkeys(("large", "merge", "constant"), "large")
    for one, equal in zip(aggregate(tasks(6, 2), references), aggregate(tasks(2, 2), references), strict=True):
        assert (one.iqm, one.rank, one.iqm_interval) == (pytest.approx(equal.iqm), equal.rank, (None, None))
    for one in aggregate(tasks(6, 5), references):
        assert one.iqm_interval[0] <= one.iqm <= one.iqm_interval[1]
        assert 1 <= one.rank_interval[0] <= one.rank <= one.rank_interval[1] <= 3


def test_a_task_that_the_reference_did_not_learn_does_not_count():
    tasks = [task("a", large=told(0.9, 0.9), merge=told(0.7, 0.7)), task("b", large=told(0.51, 0.5), merge=told(0.9))]
    found = aggregate(tasks, {"large": "large", "merge": "large"})
    assert [one.tasks for one in found] == [("a",), ("a",)]
    assert aggregate(tasks[1:], {"large": "large", "merge": "large"}) == []


def test_a_system_without_runs_on_one_of_the_tasks_is_left_out():
    tasks = [task("a", large=told(0.9, 0.9), merge=told(0.7, 0.7)), task("b", large=told(0.85, 0.86))]
    assert [one.system for one in aggregate(tasks, {"large": "large", "merge": "large"})] == ["large"]
