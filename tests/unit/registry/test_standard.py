import pytest

from graft.config import study as studies
from graft.registry.standard import FULL, changed
from graft.study.grid import Grid
from graft.study.steps.evaluate import evaluation
from graft.study.steps.graph import job_fingerprint, jobs_of, of_study
from tests.workflow.conftest import ROOT


def planned(systems: dict | None = None, **changes) -> Grid:
    """The default study, or that with other systems."""
    values = studies.read_values(ROOT / "config.yaml") | changes
    return Grid(studies.parse(values | ({} if systems is None else {"systems": systems})))


@pytest.mark.parametrize("word", [True, "full"])
def test_the_full_systems_are_those_of_the_default_study(word):
    theirs, ours = planned(), planned({"standard": word})
    assert list(ours.systems) == list(theirs.systems)
    assert {job_fingerprint(ours, job) for job in jobs_of(ours)} == {
        job_fingerprint(theirs, job) for job in jobs_of(theirs)
    }


def test_the_first_systems_are_part_of_the_full_ones_whose_study_makes_none_of_them_again():
    first, full = planned({"standard": "first"}, seeds=3), planned({"standard": "full"}, seeds=12)
    theirs = {run.id: evaluation(run).fingerprint(full) for run in full.runs}
    ours = {run.id: evaluation(run).fingerprint(first) for run in first.runs}
    assert ours.items() <= theirs.items()


def test_the_first_systems_need_no_model_but_the_pairs_own_and_have_a_rival_and_a_control_that_must_lose():
    first = planned({"standard": "first"})
    models = {step.model for step in of_study(first) if step.rule in ("download_model", "initialise_model")}
    assert models == {"bert-base", "tinybert-4l"} and not any(s.rule == "pretrain_model" for s in of_study(first))
    names = {name.rsplit(".", 1)[0] for name in first.systems}
    assert {"finetune", "probe.layers", "budget.new.1-8", "control.shuffled.functional.labelled"} <= names, names
    # The merge that the control shuffles is there, and the head that both have.
    assert {"merge.functional.labelled", "control.head-only.labelled"} <= names


@pytest.mark.parametrize("word", ["frist", ["first"], 1])
def test_another_word_is_refused_with_those_that_there_are(word):
    with pytest.raises(ValueError, match=r"systems\.standard: .*first.*full") as error:
        planned({"standard": word})
    assert len(str(error.value).splitlines()) == 1


def test_given_keys_take_their_places_at_any_depth_and_null_leaves_out():
    given = {"lora": {"rank": 4}, "joint": None, "merge": {"theseus": {"strengths": [0, 1]}, "grow": None, "mine": {}}}
    found = changed(FULL, given)
    assert found["lora"] == {"rank": 4} and "joint" not in found and "grow" not in found["merge"]
    assert found["merge"]["theseus"] == FULL["merge"]["theseus"] | {"strengths": [0, 1]} and "mine" in found["merge"]
    assert "joint" in FULL and "grow" in FULL["merge"]  # a copy was changed


def test_snakemake_gives_true_as_text():
    systems = planned({"standard": "True", "joint": None}).study.systems
    assert systems.lora and not systems.joint
