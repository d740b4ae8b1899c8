import copy
import json
import re
from pathlib import Path

import pytest

from graft.config import study as studies
from graft.config.launch import Launch
from graft.config.models import FineTuning
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


DEMO = Path(__file__).parents[3] / "config" / "demo.yaml"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("sedes", 3, "sedes: unknown key; available: name, seeds,"),
        ("tasks/sst2/limits/trian", 5, "limits.trian: unknown key; available: train, select, report"),
        ("models/large/finetune/sst2/lr", 1, "finetune.sst2.lr: unknown key; available: learning_rate"),
        ("systems/merge/thesaurus", {}, "systems.merge.thesaurus: no merge method is called 'thesaurus'; available:"),
        ("systems/merge/theseus/alpha", 1, "has no option 'alpha'; available:"),
        ("systems/merge/theseus/heads", [], "systems.merge.theseus.heads"),
        ("systems/merge/theseus/ridge", [-1.0], "systems.merge.theseus.ridge.0"),
        ("systems/probe", {"pooling": ["cls"]}, "merge.logit_ensemble: needs probe.mean; add mean to"),
        ("tasks/rte/groups", "contained", "contained is for tasks with one text"),
        ("systems/merge/interpolate/heads", ["labelled"], "interpolate has no choice of heads"),
        ("tasks/sst2/metrics", ["bleu"], "tasks.sst2.metrics: unknown 'bleu'; available: accuracy"),
        ("tasks/stsb/metrics", ["accuracy"], "accuracy needs classes, but the task has score"),
        ("tasks/imdb", {"source": {"kind": "tsv", "folder": "."}}, "'imdb' is not one of the known tasks"),
        ("tasks/sst2/source/kind", "csv", "tasks.sst2.source"),
        ("pairs/0/small", "tiny", "pairs.small: unknown 'tiny'; available: large, small"),
        ("pairs/0/small", "large", "pairs.small: large has the role large"),
        ("models/small/tokenizer", None, "use different tokenizers"),
        ("models/small/finetune", {}, "models.small.finetune: no hyperparameters for task sst2"),
        ("models/large/finetune/rte/epochs", 0, "epochs"),
        ("seeds", [1, 1], "has a seed twice"),
        ("seeds", [], "seeds: empty"),
        ("name", "My Study", "'My Study' is not a name"),
        ("statistics/margins", {"cola": 0.1}, "statistics.margins: unknown 'cola'"),
        ("name", None, "name"),
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
def test_bad_config_is_one_line_that_names_the_key(study_config, path, value, message):
    with pytest.raises(ValueError) as error:
        studies.parse(changed(study_config, path, value))
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_one_task_alone_has_nothing_to_be_merged_with(study_config):
    study_config["tasks"] = {"rte": study_config["tasks"]["rte"]}
    study_config["systems"]["multitask"] = {"methods": {"ties": {}}}
    with pytest.raises(ValueError, match="systems.multitask: rte is the only task; two or more are needed"):
        studies.parse(study_config)


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


def test_several_problems_are_reported_together(study_config):
    with pytest.raises(ValueError) as error:
        studies.parse({**study_config, "sedes": 1, "nmae": 2})
    assert len(str(error.value).splitlines()) == 2


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
    for section in (FineTuning, Launch, studies.Statistics, studies.Calibration, studies.Limits):
        keys |= set(section.model_fields)
    for key in keys - {"train", "report"}:
        assert re.search(rf"\b{key}\b", text), key


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
