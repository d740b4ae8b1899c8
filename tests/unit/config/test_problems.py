from pathlib import Path

import pytest

from graft.config import study as studies
from tests.unit.config.test_study import changed

DEMO = Path(__file__).parents[3] / "config" / "demo.yaml"


def test_several_problems_are_reported_together(study_config):
    with pytest.raises(ValueError) as error:
        studies.parse({**study_config, "sedes": 1, "nmae": 2})
    assert len(str(error.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("[no, yes]", "no means false in some versions of YAML; write false, or 'no' for text"),
        ("[a, 1]", "tasks.sentiment.labels.1: 1; text is needed, so write it in quotes"),
        ("[01, 02]", "write the number in plain digits, or '01' for text"),
        ("[null, x]", "tasks.sentiment.labels.0: Input should be a valid string"),
    ],
)
def test_labels_that_yaml_reads_as_something_else_should_be_quoted(tmp_path, written, message):
    config = tmp_path / "study.yaml"
    config.write_text(DEMO.read_text().replace("labels: [negative, positive]", f"labels: {written}"))
    with pytest.raises(ValueError) as error:
        studies.load(config)
    assert message in str(error.value) and len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("models/large/source/kind", "paht", "models.large.source.kind: unknown 'paht'; available: hub, path, python_"),
        ("models/large/source", {"folder": "."}, "models.large.source.kind: this key is needed"),
        ("models/large/role", "Large", "(given: 'Large'); did you mean large?"),
        (
            "models/large/source",
            {"kind": "hub", "repo": "https://hf.co/a/b", "revision": "a" * 40},
            "source.hub.repo: ",
        ),
        ("models/large/source", {"kind": "hub", "repo": "../../up", "revision": "a" * 40}, "source.hub.repo: "),
        (
            "models/large/source",
            {"kind": "hub", "repo": "a/b", "revision": 10**39},
            "text is needed, so write it in qu",
        ),
        ("models/large/source/folder", "", "folder: this text is empty; fill it in, or leave the key out"),
        ("models/large/source/folder", "a\0b", "folder: 'a\\x00b' contains an invisible character"),
        ("models/large/note", "\ud800", "note: '\\ud800' is not valid Unicode"),
        ("tasks/sst2/labels", [True, False], "tasks.sst2.labels.0: true; text is needed, so write it in quotes"),
        ("launch", None, "launch: nothing; keys and values are needed here"),
        ("exclude", "rte/*", "exclude: 'rte/*'; a list in square brackets is needed"),
        ("systems/weak_to_strong", {}, "unknown key; available: probe, majority, lora, distil, weak-to-strong"),
        ("systems/merge/interpolate/trails", 3, "has no option 'trails'; available: trials; did you mean trials?"),
        ("models/large/finetune/sst2/adam_betas", [0.9, 1], "sst2.adam_betas.1: Input should be less than 1"),
        ("statistics/margins", {"sst2": 5}, "statistics.margins.sst2: Input should be less than 1"),
        ("pairs/0/small", "a-into-b", "pairs.0.small: 'a-into-b' is not a name: -into- joins two names; choose"),
    ],
)
def test_what_users_write_wrong_is_reported_with_what_would_be_right(study_config, path, value, message):
    with pytest.raises(ValueError) as error:
        studies.parse(changed(study_config, path, value))
    assert message in str(error.value)


def test_a_misspelt_key_is_reported_once_and_not_as_missing_too(study_config):
    study_config["sedes"] = study_config.pop("seeds")
    with pytest.raises(ValueError, match=r"^sedes: unknown key; .*; did you mean seeds\?$"):
        studies.parse(study_config)


def test_a_name_that_is_none_is_reported_once_wherever_it_stands(study_config):
    for section in (study_config["tasks"], *(model["finetune"] for model in study_config["models"].values())):
        section["SST2"] = section.pop("sst2")
    with pytest.raises(ValueError, match=r"^tasks.SST2: 'SST2' is not a name: names match [^\n]*$"):
        studies.parse(study_config)
