import pytest

from graft.registry.tasks import METRICS, TASKS, TaskRow


@pytest.mark.parametrize("name", TASKS)
def test_every_task_is_told_by_metrics_of_its_kind(name):
    row = TASKS[name]
    assert {METRICS[metric] for metric in row.metrics} == {row.kind} and row.primary_metric == row.metrics[0]
    assert row.margin and 1 <= len(row.text) <= 2 and row.label not in row.text


def test_a_score_is_one_output_and_classes_are_one_each():
    score, classes = TASKS["stsb"], TaskRow(("a",), "b", ("accuracy",), ("x", "y", "z"))
    assert (score.kind, score.outputs) == ("score", 1) and (classes.kind, classes.outputs) == ("classes", 3)


def test_ids_of_classes_are_those_of_glue():
    assert TASKS["sst2"].labels == ("negative", "positive") and TASKS["rte"].labels == ("entailment", "not_entailment")
