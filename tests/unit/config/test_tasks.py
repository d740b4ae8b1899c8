import pytest

from graft.config import study as studies
from tests.unit.config.test_study import changed


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("tasks/rte/groups", "contained", "contained is for tasks with one text"),
        ("tasks/sst2/metrics", ["bleu"], "tasks.sst2.metrics: unknown 'bleu'; available: accuracy"),
        ("tasks/stsb/metrics", ["accuracy"], "accuracy needs classes, but the task has score"),
        ("tasks/imdb", {"source": {"kind": "tsv", "folder": "."}}, "'imdb' is not one of the known tasks"),
    ],
)
def test_a_task_whose_values_do_not_fit_is_one_line_that_names_the_key(study_config, path, value, message):
    with pytest.raises(ValueError) as error:
        studies.parse(changed(study_config, path, value))
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) == 1
