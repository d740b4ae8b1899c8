import copy
import json
import re
from pathlib import Path

import pytest

from graft.config import study as studies
from graft.config.launch import Launch
from graft.config.models import FineTuning
from graft.config.tasks import Limits
from graft.io.strict_yaml import read_yaml


def changed(config: dict, path: str, value) -> dict:
    config = copy.deepcopy(config)
    node = config
    *parents, last = path.split("/")
    for key in parents:
        node = node[int(key)] if isinstance(node, list) else node.setdefault(key, {})
    node[last] = value
    return config


def test_a_number_of_seeds_means_that_many_from_zero(study_config):
    assert studies.parse({**study_config, "seeds": 3}).seeds == (0, 1, 2)
    assert studies.parse({**study_config, "seeds": [7, 3]}).seeds == (7, 3)


def test_a_tasks_number_of_seeds_is_of_the_studys_first(study_config):
    study_config["seeds"] = [7, 3, 5]
    few = studies.parse(changed(study_config, "tasks/rte/seeds", 2))
    assert [few.seeds_of(task) for task in ("rte", "sst2")] == [(7, 3), (7, 3, 5)]
    # `--config seeds=[7]` tries any study with one seed.
    assert studies.parse(changed(study_config | {"seeds": [7]}, "tasks/rte/seeds", 2)).seeds_of("rte") == (7,)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("tasks/rte/seeds", 0, "tasks.rte.seeds: "),
        ("tasks/rte/seeds", [0], "tasks.rte.seeds: "),
        ("sedes", 3, "sedes: unknown key; available: name, seeds,"),
        ("tasks/sst2/limits/trian", 5, "limits.trian: unknown key; available: train, select, report"),
        ("models/large/finetune/sst2/lr", 1, "finetune.sst2.lr: unknown key; available: learning_rate"),
        ("tasks/sst2/source/kind", "xlsx", "tasks.sst2.source"),
        ("pairs/0/small", "tiny", "pairs.small: unknown 'tiny'; available: large, small"),
        ("pairs/0/small", "large", "pairs.small: large has the role large"),
        ("models/small/finetune", {}, "models.small.finetune: no hyperparameters for task sst2"),
        ("models/large/finetune/rte/epochs", 0, "epochs"),
        ("seeds", [1, 1], "has a seed twice"),
        ("seeds", [], "seeds: empty"),
        ("name", "My Study", "'My Study' is not a name"),
        ("statistics/margins", {"cola": 0.1}, "statistics.margins: unknown 'cola'"),
        ("name", None, "name"),
    ],
)
def test_bad_config_is_one_line_that_names_the_key(study_config, path, value, message):
    with pytest.raises(ValueError) as error:
        studies.parse(changed(study_config, path, value))
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_one_pair_twice_would_make_two_systems_of_one_name(study_config):
    pair = {"large": "large", "small": "small"}
    with pytest.raises(ValueError, match="small-into-large appears twice"):
        studies.parse({**study_config, "pairs": [pair, pair]})


def test_a_key_that_stands_twice_is_refused(tmp_path):
    (tmp_path / "config.yaml").write_text("name: a\nseeds: 1\nname: b\n")
    with pytest.raises(ValueError, match="key 'name' appears twice"):
        studies.load(tmp_path / "config.yaml")


def test_an_exponent_without_a_dot_is_a_number(tmp_path):
    (tmp_path / "config.yaml").write_text("rate: 2e-5\n")
    assert read_yaml(tmp_path / "config.yaml") == {"rate": 2e-5}


ROOT = Path(__file__).parents[3]


def test_the_schema_for_editors_is_up_to_date():
    stored = json.loads((ROOT / "config" / "study.schema.json").read_text())
    assert stored == studies.Study.model_json_schema(), "call make docs"


@pytest.mark.parametrize(
    "path", [ROOT / "config.yaml", *sorted((ROOT / "config").glob("*.yaml"))], ids=lambda p: p.name
)
def test_shipped_studies_are_valid(path):
    assert studies.load(path).name == ("glue" if path.name == "config.yaml" else path.stem)


def test_the_default_study_is_the_real_one_and_explains_every_key():
    text = (ROOT / "config.yaml").read_text()
    study = studies.load(ROOT / "config.yaml")
    assert set(study.tasks) == {"sst2", "stsb", "rte"} and len(study.seeds) == 12
    keys = set(studies.Study.model_fields)
    for section in (FineTuning, Launch, studies.Statistics, studies.Calibration, Limits):
        keys |= set(section.model_fields)
    for key in keys - {"train", "report"}:
        assert re.search(rf"\b{key}\b", text), key
