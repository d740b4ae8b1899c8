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
        ("systems/fewshot", {}, "systems: fewshot is no more; use budget, fine-tunings with fractions of the steps"),
        ("systems/budget", {"starts": ["old"]}, "systems.budget.starts.0"),
        ("systems/budget", {"models": ["tiny"]}, "systems.budget.models: unknown 'tiny'; available: large, small"),
        ("systems/budget", {"fractions": [1]}, "systems.budget.fractions.0: Input should be less than 1"),
        ("systems/budget", {"fractions": ["1/0"]}, "systems.budget.fractions.0: '1/0' is text; a number is needed"),
        ("systems/budget", {"fractions": ["2/1"]}, "systems.budget.fractions.0: Input should be less than 1"),
        ("systems/budget", {"models": ["small"], "starts": ["closed-form"]}, "small can only start from a new head"),
        ("systems/oracle", {"of": ["interpolate"]}, "systems.oracle.of: interpolate (method interpolate) transfers no"),
        ("systems/control/wrong-task", {"of": ["grow"]}, "systems.control.wrong-task.of: unknown 'grow'; available:"),
        ("systems/control/shuffled/strength", ["own"], "systems.control.shuffled.strength.0"),
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


@pytest.mark.parametrize(
    ("path", "value"),
    [("systems/multitask", {"methods": {"ties": {}}}), ("systems/control/wrong-task", {"of": ["theseus"]})],
)
def test_one_task_alone_has_no_other(study_config, path, value):
    study_config["tasks"] = {"rte": study_config["tasks"]["rte"]}
    message = f"{path.replace('/', '.')}: rte is the only task; two or more are needed"
    with pytest.raises(ValueError, match=message):
        studies.parse(changed(study_config, path, value))


def test_what_a_distillation_left_behind_is_no_oracles(study_config):
    study_config["systems"]["merge"]["spacewise"]["residual"] = "fit_dense"
    study_config["systems"]["oracle"] = {"of": ["spacewise"]}
    with pytest.raises(ValueError, match="oracle.of: spacewise uses a distillation's projection, which no large"):
        studies.parse(study_config)


def test_a_warm_start_from_a_control_needs_the_one_that_chooses_its_strength(study_config):
    study_config["systems"]["warm-start"] = {"merge": "spacewise"}
    study_config["systems"]["control"]["shuffled"]["strength"] = ["merge"]
    with pytest.raises(ValueError, match="systems.warm-start: needs control.shuffled at its own strength; add chosen"):
        studies.parse(study_config)


def test_budget_points_from_a_head_need_that_head_unless_all_are_of_small_models(study_config):
    study_config["systems"]["control"]["head-only"]["heads"] = ["transplant"]
    study_config["systems"]["budget"] = {"models": ["small"]}
    assert studies.parse(study_config)
    study_config["systems"]["budget"] = {"starts": ["closed-form"]}
    with pytest.raises(ValueError, match="starts: closed-form needs control.head-only.labelled; add it"):
        studies.parse(study_config)
