import pytest

from graft.config.study import parse
from graft.study.grid import Grid
from graft.study.kin import kin, measured_tasks
from graft.study.steps.measure_cost import MeasureCost
from tests.conftest import study_values, with_other_small

PAIR = "small-into-large"


@pytest.fixture
def values(pico_glue, pico_models):
    values = with_other_small(study_values(pico_glue, pico_models))
    values["systems"] |= {name: {} for name in ("lora", "distil", "weak-to-strong", "ensemble")}
    values["systems"]["budget"] = {"fractions": [0.5], "models": ["large", "small"]}
    values["systems"]["merge"] |= {"stitch": {}, "proxy_tuning": {}}
    return values


def by_first(values, task="rte"):
    return {one.run.id: set(one.systems) for one in kin(Grid(parse(values)), task)}


def test_all_of_the_large_models_shape_are_one_family_and_composites_each_their_own(values):
    found = by_first(values)
    large = found["rte/finetune.large/seed-0"]
    assert {"finetune.large", "lora.large", "budget.closed-form.1-2.large", "weak-to-strong.small-to-large"} < large
    assert {f"merge.theseus.labelled.{PAIR}", f"merge.interpolate.{PAIR}"} < large
    assert {f"control.head-only.labelled.{PAIR}", "control.other-small.spacewise.labelled.untrained-into-large"} < large
    small = {
        "finetune.small",
        "distil.small-from-large",
        "budget.new.1-2.small",
        "finetune.untrained",
        "finetune.undistilled",
    }
    assert found["rte/finetune.small/seed-0"] == small
    for name in ("stitch", "proxy_tuning", "logit_ensemble"):
        assert found[f"rte/merge.{name}.{PAIR}/seed-0"] == {f"merge.{name}.{PAIR}"}
    for name in ("probe.cls.large", "probe.mean.large", "probe.cls.small", "probe.layers.small"):
        assert found[f"rte/{name}/seed-all"] == {name}
    assert found["rte/ensemble.large/seed-0"] == {"ensemble.large"}
    names = {run.system.name for run in Grid(parse(values)).runs if run.task == "rte"}
    assert set().union(*found.values()) == names - {"majority"}


def test_soups_and_encoders_of_all_tasks_are_what_a_fine_tuned_model_is(values):
    values["systems"]["soup"] = {"methods": {"uniform": {}}}
    values["systems"]["multitask"] = {"models": ["large", "small"], "methods": {"ties": {}}}
    found = by_first(values)
    assert {"soup.uniform.large", "multitask.ties.large"} < found["rte/finetune.large/seed-0"]
    assert "multitask.ties.small" in found["rte/finetune.small/seed-0"]


def test_another_run_stands_for_them_where_the_first_is_left_out(values):
    values["exclude"] = ["*/finetune.large/*", "*/finetune.small/seed-0"]
    found = by_first(values)
    assert "lora.large" in found["rte/lora.large/seed-0"]
    assert {"finetune.small", "distil.small-from-large"} < found["rte/finetune.small/seed-1"]


def test_models_that_read_other_texts_are_apart(values):
    values["models"]["untrained"]["finetune"] = {"rte": dict(values["models"]["small"]["finetune"]["rte"])}
    values["models"]["untrained"]["finetune"]["rte"]["max_tokens"] = 16
    assert by_first(values)["rte/finetune.untrained/seed-0"] == {"finetune.untrained"}
    assert "finetune.untrained" in by_first(values, "stsb")["stsb/finetune.small/seed-0"]


def test_tasks_without_a_model_that_runs_and_studies_that_say_no_are_not_measured(values):
    values["exclude"] = [f"rte/{kind}.*" for kind in values["systems"] if kind != "majority"] + ["rte/finetune.*"]
    assert measured_tasks(Grid(parse(values))) == ["sst2", "stsb"]
    values["cost"] = {"measure": False}
    assert measured_tasks(Grid(parse(values))) == []


def test_what_is_measured_anew_is_what_a_change_touches(values):
    def prints():
        grid = Grid(parse(values))
        return [MeasureCost(task).fingerprint(grid) for task in values["tasks"]]

    before = prints()
    values["systems"]["merge"]["theseus"]["strengths"] = [0, 7]
    values["cost"] = {"measure": True}
    assert prints() == before
    values["cost"] = {"rounds": 9}
    assert all(a != b for a, b in zip(before, prints(), strict=True))
    del values["cost"]
    values["models"]["large"]["finetune"]["rte"]["epochs"] += 1
    assert [a == b for a, b in zip(before, prints(), strict=True)] == [task != "rte" for task in values["tasks"]]
