from graft.config import study as studies
from graft.registry.standard import SYSTEMS, changed
from graft.study.grid import Grid
from graft.study.steps.graph import job_fingerprint, jobs_of
from tests.workflow.conftest import ROOT


def test_the_standard_systems_are_those_of_the_default_study():
    values = studies.read_values(ROOT / "config.yaml")
    theirs, ours = (Grid(studies.parse(v)) for v in (values, values | {"systems": {"standard": True}}))
    assert list(ours.systems) == list(theirs.systems)
    assert {job_fingerprint(ours, job) for job in jobs_of(ours)} == {
        job_fingerprint(theirs, job) for job in jobs_of(theirs)
    }


def test_given_keys_take_their_places_at_any_depth_and_null_leaves_out():
    given = {"lora": {"rank": 4}, "joint": None, "merge": {"theseus": {"strengths": [0, 1]}, "grow": None, "mine": {}}}
    found = changed(SYSTEMS, given)
    assert found["lora"] == {"rank": 4} and "joint" not in found and "grow" not in found["merge"]
    assert found["merge"]["theseus"] == SYSTEMS["merge"]["theseus"] | {"strengths": [0, 1]} and "mine" in found["merge"]
    assert "joint" in SYSTEMS and "grow" in SYSTEMS["merge"]  # a copy was changed


def test_snakemake_gives_true_as_text():
    values = studies.read_values(ROOT / "config.yaml") | {"systems": {"standard": "True", "joint": None}}
    assert studies.parse(values).systems.lora and not studies.parse(values).systems.joint
