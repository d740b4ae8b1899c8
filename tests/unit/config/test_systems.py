import pytest

from graft.config import study as studies
from graft.config.systems import BudgetPoint
from graft.study.grid import Grid
from graft.training.optimizer import linear_schedule
from tests.unit.config.test_study import changed


def test_rivals_that_lack_what_they_are_built_on_are_one_line(study_config):
    study_config["systems"]["warm-start"] = {"merge": "spacewise"}
    study_config["systems"]["control"].pop("head-only")
    with pytest.raises(ValueError, match="systems.warm-start: needs control.head-only.labelled; add it to"):
        studies.parse(study_config)


def test_fractions_are_written_as_they_are_said_or_as_numbers(study_config):
    def budget(fractions):
        return studies.parse(changed(study_config, "systems/budget", {"fractions": fractions})).systems.budget

    assert budget(["1/64", "1/3", 0.25, "0.5"]).fractions == (1 / 64, 1 / 3, 0.25, 0.5)
    parts = [BudgetPoint(fraction=one, rates=(1,), seeds=1).part for one in (1 / 64, "1/3", 0.3, 2 / 6, 1e-5)]
    assert parts == ["1-64", "1-3", "3-10", "1-3", "1-100000"]


def test_a_fraction_of_the_steps_is_rounded_and_trains_at_least_once():
    point = BudgetPoint(fraction="1/8", rates=(1,), seeds=1)
    assert [point.steps(whole) for whole in (1, 8, 16, 35, 37)] == [2, 2, 2, 4, 5]
    # The first step of a schedule has a rate of 0.
    assert [linear_schedule(step, 1, 2) for step in range(3)] == [0, 1, 0]


def test_a_record_of_a_study_without_few_shots_is_read(study_config):
    before = studies.parse(study_config)
    assert studies.parse(changed(study_config, "systems/fewshot", None)) == before


def test_one_pooling_twice_would_make_two_systems_of_one_name(study_config):
    study = studies.parse(changed(study_config, "systems/probe/pooling", ["mean", "mean"]))
    with pytest.raises(ValueError, match="two systems have the name probe.mean.large"):
        Grid(study)


def test_options_mean_the_same_as_the_strings_that_the_command_line_gives(study_config):
    def theseus(**options):
        study = studies.parse(changed(study_config, "systems/merge/theseus", options))
        return study.systems.merge["theseus"].options

    given = {"strengths": ["0", "0.5", "2e0"], "embedding_delta": "true"}
    assert theseus(**given) == theseus(strengths=[0, 0.5, 2], embedding_delta=True)
