import pytest

from graft.config import study as studies
from tests.unit.config.test_study import changed


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("systems/merge/thesaurus", {}, "systems.merge.thesaurus: no merge method is called 'thesaurus'; available:"),
        ("systems/merge/theseus/alpha", 1, "has no option 'alpha'; available:"),
        ("systems/merge/theseus/heads", [], "systems.merge.theseus.heads"),
        ("systems/merge/theseus/ridge", [-1.0], "systems.merge.theseus.ridge.0"),
        ("systems/probe", {"pooling": ["cls"]}, "merge.logit_ensemble: needs probe.mean; add mean to"),
        ("systems/merge/interpolate/heads", ["labelled"], "interpolate has no choice of heads"),
        ("systems/lora", {"targets": ["dense"]}, "systems.lora.targets.0"),
        ("systems/ensemble", {"members": 1}, "systems.ensemble.members"),
        ("systems/soup", {"members": 1, "methods": {"uniform": {}}}, "systems.soup.members"),
        ("systems/soup", {"methods": {}}, "systems.soup.methods"),
        ("systems/soup", {"methods": {"tyes": {}}}, "systems.soup.methods.tyes: no method for models of one shape is"),
        ("systems/soup", {"methods": {"slerp": {}}}, "slerp merges 2 models, not 5; set members: 2"),
        ("systems/soup", {"methods": {"ties": {"members": 6}}}, "ties.members: 6; systems.soup.members is 5"),
        (
            "systems/soup",
            {"methods": {"ties": {"densty": 1}}},
            "systems.soup.methods.ties: method 'ties' has no option",
        ),
        ("systems/soup", {"methods": {"greedy": {"strengths": [1]}}}, "strengths: a greedy soup has no strength"),
        ("systems/soup", {"methods": {"uniform": {"weights": [1, 2]}}}, "uniform weights all models equally"),
        ("systems/soup", {"methods": {"linear": {"weights": [1, 2]}}}, "give 5 numbers that do not sum to zero"),
        ("systems/soup", {"methods": {"ties": {"strengths": [float("nan")]}}}, "methods.ties.strengths.0"),
        ("systems/soup", {"models": ["tiny"], "methods": {"ties": {}}}, "systems.soup.models: unknown 'tiny'; avail"),
        ("systems/multitask", {"methods": {"greedy": {}}}, "greedy works on one task only; put it under systems.soup"),
        ("systems/multitask", {"methods": {"slerp": {}}}, "slerp merges 2 models, not 3; use another method"),
        ("systems/multitask", {"methods": {"ties": {"members": 2}}}, "method 'ties' has no option 'members'"),
        ("systems/fewshot", {"rows": 8}, "systems.fewshot.rows: unknown key; available: epochs"),
        ("systems/warm-start", {"merge": "grow"}, "systems.warm-start.merge: unknown 'grow'; available:"),
        ("systems/warm-start", {"merge": "interpolate"}, "systems.warm-start.head: interpolate has no head labelled"),
        (
            "systems/warm-start",
            {"merge": "theseus"},
            "needs control.shuffled.theseus.labelled; add it to its `of`",
        ),
    ],
)
def test_a_system_that_cannot_be_made_is_one_line_that_names_the_key(study_config, path, value, message):
    with pytest.raises(ValueError) as error:
        studies.parse(changed(study_config, path, value))
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_one_task_alone_has_nothing_to_be_merged_with(study_config):
    study_config["tasks"] = {"rte": study_config["tasks"]["rte"]}
    study_config["systems"]["multitask"] = {"methods": {"ties": {}}}
    with pytest.raises(ValueError, match="systems.multitask: rte is the only task; two or more are needed"):
        studies.parse(study_config)
