import numpy as np
import pytest
from scipy.stats import rankdata

from graft.registry.tasks import TASKS
from graft.tasks import metrics


def test_accuracy_and_its_binomial_error():
    logits = np.array([[2.0, 1.0], [0.0, 1.0], [3.0, 0.0], [0.0, 1.0]])
    found = metrics.with_errors(logits, np.array([0, 1, 1, 1]), TASKS["sst2"])["accuracy"]
    assert found == {"value": 0.75, "stderr": pytest.approx(np.sqrt(0.75 * 0.25 / 4)), "n": 4}


def test_correlation_is_the_mean_of_pearson_and_spearman():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=50), rng.normal(size=50)
    found = metrics.compute(x[:, None], y, TASKS["stsb"])
    pearson, spearman = np.corrcoef(x, y)[0, 1], np.corrcoef(rankdata(x), rankdata(y))[0, 1]
    assert found["pearson"] == pytest.approx(pearson)
    assert found["spearman"] == pytest.approx(spearman)
    assert found["correlation"] == pytest.approx((pearson + spearman) / 2)


def test_bootstrap_error_of_a_correlation_is_near_theory():
    rng = np.random.default_rng(1)
    x = rng.normal(size=400)
    y = x + rng.normal(size=400)
    error = metrics.with_errors(x[:, None], y, TASKS["stsb"])["pearson"]["stderr"]
    assert error == pytest.approx((1 - 0.5) / np.sqrt(400), rel=0.25)


def test_constant_scores_are_degenerate_and_worth_nothing():
    logits = np.full((10, 1), 2.5)
    assert metrics.is_degenerate(logits, TASKS["stsb"])
    assert metrics.compute(logits, np.arange(10.0), TASKS["stsb"])["correlation"] == 0.0
