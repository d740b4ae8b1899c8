import pytest

from graft.config import study as studies
from graft.study.grid import Grid
from tests.conftest import with_other_small
from tests.unit.config.test_study import changed

OTHER = "systems/control/other-small"


def test_a_model_like_another_is_fine_tuned_alike_and_has_its_tokenizer(study_config):
    own = {"learning_rate": 0.5, "batch_size": 2, "epochs": 1, "max_tokens": 8}
    with_other_small(study_config)["models"]["untrained"]["finetune"] = {"rte": own}
    study = studies.parse(study_config)
    assert study.models["undistilled"].finetune == study.models["small"].finetune
    assert study.models["untrained"].finetune["rte"].learning_rate == 0.5
    assert study.models["untrained"].finetune["sst2"] == study.models["small"].finetune["sst2"]
    assert study.tokenizer_of("untrained") == study.tokenizer_of("undistilled") == "large"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            "models/untrained/source/like",
            "tiny",
            "models.untrained.source.like: unknown 'tiny'; available: large, small",
        ),
        ("models/untrained/source/like", "large", "models.untrained.source.like: large has the role large; name a sm"),
        ("models/untrained/source/like", "undistilled", "source.like: undistilled is itself like small; name that"),
        ("models/untrained/source/like", "untrained", "source.like: untrained is itself like untrained; name that"),
        ("models/untrained/role", "large", "models.untrained.role: large; it must be small, like small"),
        ("models/untrained/tokenizer", "large", "models.untrained.tokenizer: it always uses the tokenizer of small"),
        ("models/small/tokenizer", "undistilled", "models.small.tokenizer: undistilled uses another model's tokenizer"),
        ("models/small/finetune/sst2/lr", 1, "models.small.finetune.sst2.lr: unknown key"),
        ("models/undistilled/source/options", {"step": 1}, "options.step: unknown key; available: steps, batch_size"),
        ("models/undistilled/source/options", {"masked": 1}, "options.masked: Input should be less than 1"),
        (f"{OTHER}/models", ["tiny"], "systems.control.other-small.models: unknown 'tiny'; available: large, small"),
        (f"{OTHER}/models", ["large"], "systems.control.other-small.models: large has the role large"),
        (f"{OTHER}/models", ["small"], "small is the small model of a pair; name a model in no pair"),
        (f"{OTHER}/models", [], "systems.control.other-small.models: "),
        (f"{OTHER}/of", ["thesaurus"], "systems.control.other-small.of: unknown 'thesaurus'; available: logit_"),
        (f"{OTHER}/of", ["interpolate"], "other-small.of: interpolate (method interpolate) transfers no change"),
        (f"{OTHER}/of", None, "systems.control.other-small.of"),
        ("systems/merge/spacewise/residual", "fit_dense", "spacewise uses a distillation's projection (residual: fit_"),
    ],
)
def test_a_control_model_that_cannot_be_is_one_line(study_config, path, value, message):
    with pytest.raises(ValueError) as error:
        studies.parse(changed(with_other_small(study_config), path, value))
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_the_models_of_a_pair_and_of_its_controls_may_have_their_own_vocabularies(study_config):
    with_other_small(study_config)["models"]["alien"] = study_config["models"]["small"] | {"tokenizer": None}
    study_config["models"]["untrained"]["source"]["like"] = "alien"
    grid = Grid(studies.parse(study_config))
    assert {pair.small: grid.two_vocabularies(pair) for pair in grid.pairs} == {
        **{"small": False, "untrained": True, "undistilled": False}
    }
