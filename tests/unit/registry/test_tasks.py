import numpy as np
import pytest

from graft.registry.tasks import GLUE_ROWS, METRICS, TASKS, TaskRow, error_at, usual_margin


@pytest.mark.parametrize("name", TASKS)
def test_every_task_is_told_by_metrics_of_its_kind(name):
    row = TASKS[name]
    assert {METRICS[metric] for metric in row.metrics} == {row.kind} and row.primary_metric == row.metrics[0]
    assert GLUE_ROWS[name] and row.margin and 1 <= len(row.text) <= 2 and row.label not in row.text


def test_a_score_is_one_output_and_classes_are_one_each():
    score, classes = TASKS["stsb"], TaskRow(("a",), "b", ("accuracy",), ("x", "y", "z"))
    assert (score.kind, score.outputs) == ("score", 1) and (classes.kind, classes.outputs) == ("classes", 3)


def test_ids_of_classes_are_those_of_glue():
    first = {"cola": "unacceptable", "sst2": "negative", "mrpc": "not_equivalent", "qqp": "not_duplicate"}
    first |= {"mnli": "entailment", "qnli": "entailment", "rte": "entailment", "wnli": "not_entailment"}
    assert {name: row.labels[0] for name, row in TASKS.items() if row.labels} == first
    assert TASKS["mnli"].labels == ("entailment", "neutral", "contradiction")


# Rows of dev, and what fine-tuned BERT-base reaches there.
REACHED = {
    "sst2": (872, 0.93),
    "mrpc": (408, 0.867),
    "stsb": (1500, 0.88),
    "qqp": (40_430, 0.91),
    "mnli": (9815, 0.846),
    "qnli": (5463, 0.905),
    "rte": (277, 0.664),
    "wnli": (71, 0.563),
}


@pytest.mark.parametrize("name", REACHED)
def test_margins_are_what_dev_can_show(name):
    assert TASKS[name].margin == usual_margin(error_at(TASKS[name].kind, *REACHED[name]))


def test_colas_margin_is_the_error_of_matthews_correlation():
    from sklearn.metrics import matthews_corrcoef

    rng, labels = np.random.default_rng(0), np.repeat([1, 0], [721, 322])
    draws = []
    for _ in range(200):
        drawn = labels[rng.integers(0, len(labels), len(labels))]
        right = rng.random(len(drawn)) < np.where(drawn == 1, 0.92, 0.62)  # about 0.58, as BERT-base
        draws.append(matthews_corrcoef(drawn, np.where(right, drawn, 1 - drawn)))
    assert np.mean(draws) == pytest.approx(0.58, abs=0.02)
    assert TASKS["cola"].margin == usual_margin(float(np.std(draws)))
