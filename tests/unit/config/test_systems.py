import pytest

from graft.config import study as studies
from graft.study.grid import Grid
from tests.unit.config.test_study import changed


def test_rivals_that_lack_what_they_are_built_on_are_one_line(study_config):
    study_config["systems"]["warm-start"] = {"merge": "spacewise"}
    study_config["systems"]["control"].pop("head-only")
    with pytest.raises(ValueError, match="systems.warm-start: needs control.head-only.labelled; add it to"):
        studies.parse(study_config)
    study_config["systems"] = {"fewshot": {}}
    with pytest.raises(ValueError, match="systems.fewshot: it spends the FLOPs of the best merge, but systems.merge"):
        studies.parse(study_config)


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
